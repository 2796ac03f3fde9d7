package snapshot

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// checkTarget refuses what would go wrong once the application is stopped.
func (in *RestoreInput) checkTarget(res *Resolution) error {
	if res.Strategy == v1alpha1.StrategyClaimsOnly {
		return nil
	}
	w := in.Workload
	if !w.Meta.DeletionTimestamp.IsZero() {
		return v1alpha1.Problemf(v1alpha1.ReasonApplicationNotFound, "%s %s is being deleted: name another in spec.target.applicationRef, or write strategy ClaimsOnly", w.Ref.Kind, w.Ref.Name)
	}
	if uid := in.Backup.Status.ApplicationUID; uid != "" && uid != w.Meta.UID && in.Restore.Spec.Target.ApplicationRef == nil {
		return v1alpha1.Problemf(v1alpha1.ReasonApplicationReplaced,
			"%s %s isn't the one that was backed up: it was made anew since. Write spec.target.applicationRef if it is to be restored all the same, or strategy ClaimsOnly", w.Ref.Kind, w.Ref.Name)
	}
	if w.Surplus {
		return v1alpha1.Problemf(v1alpha1.ReasonClaimsScaledAway,
			"StatefulSet %s deletes the claims of replicas that it scales down, and a restore scales down: set its spec.persistentVolumeClaimRetentionPolicy.whenScaled to Retain, and back afterwards", w.Ref.Name)
	}
	return in.checkAutoscaler(res)
}

// checkOwner refuses a ReplicaSet of a Deployment, by whichever strategy.
func (in *RestoreInput) checkOwner() error {
	w := in.Workload
	if owner := metav1.GetControllerOfNoCopy(&w.Meta); owner != nil && owner.Kind == string(v1alpha1.KindDeployment) {
		return v1alpha1.Problemf(v1alpha1.ReasonManagedByOther,
			"ReplicaSet %s belongs to Deployment %s, which would scale it up again: write that into spec.target.applicationRef", w.Ref.Name, owner.Name)
	}
	return nil
}

// checkAutoscaler notes the autoscaler that steps aside while there are no
// replicas, and refuses one that doesn't: Kubernetes scales from zero only
// where the autoscaler's minimum is zero
// (https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/),
// KEDA always does.
func (in *RestoreInput) checkAutoscaler(res *Resolution) error {
	w := in.Workload
	for i := range in.Autoscalers {
		h := &in.Autoscalers[i]
		if h.Spec.ScaleTargetRef.Kind != string(w.Ref.Kind) || h.Spec.ScaleTargetRef.Name != w.Ref.Name {
			continue
		}
		if owner := metav1.GetControllerOfNoCopy(h); owner != nil && owner.Kind == "ScaledObject" {
			return v1alpha1.Problemf(v1alpha1.ReasonAutoscalerFights,
				"KEDA's ScaledObject %s scales %s %s from zero, against the restore: pause it with the annotation autoscaling.keda.sh/paused, and remove that afterwards", owner.Name, w.Ref.Kind, w.Ref.Name)
		}
		if ptr.Deref(h.Spec.MinReplicas, 1) == 0 {
			return v1alpha1.Problemf(v1alpha1.ReasonAutoscalerFights,
				"HorizontalPodAutoscaler %s scales %s %s from zero, against the restore: set its spec.minReplicas to 1, and back afterwards", h.Name, w.Ref.Kind, w.Ref.Name)
		}
		res.Autoscaler = h.Name
	}
	return nil
}

// checkClaims refuses what would hold up the swap of the claims, and finds
// what the backup leaves as it is.
func (in *RestoreInput) checkClaims(res *Resolution) error {
	for _, c := range res.Claims {
		if err := in.checkNewName(res, c); err != nil {
			return err
		}
		if res.Strategy != v1alpha1.StrategyReplace {
			continue
		}
		if err := in.checkReplaceable(c.PreviousClaim); err != nil {
			return err
		}
	}
	if res.Strategy == v1alpha1.StrategyClaimsOnly {
		return nil
	}
	for _, name := range sortedSet(in.Workload.Mounted()) {
		if !in.holds(res.Strategy, name) {
			res.Unrestored = append(res.Unrestored, name)
		}
	}
	return nil
}

// holds is true where the backup has what the application mounts by that name,
// whether it is restored or left out.
func (in *RestoreInput) holds(strategy v1alpha1.RestoreStrategy, mounted string) bool {
	return slices.ContainsFunc(in.Backup.Status.Volumes, func(v v1alpha1.VolumeStatus) bool {
		name, err := in.mountedAs(strategy, v.ClaimName)
		return err == nil && name == mounted
	})
}

func (in *RestoreInput) checkNewName(res *Resolution, c v1alpha1.RestoredClaim) error {
	if res.Strategy == v1alpha1.StrategyReplace {
		return nil
	}
	for _, other := range res.Claims {
		if other.ClaimName != c.ClaimName && other.RestoredClaim == c.RestoredClaim {
			return v1alpha1.Problemf(v1alpha1.ReasonClaimExists,
				"claims %s and %s of the backup would both be restored to a PersistentVolumeClaim %q: write a name of its own for each into spec.target.claims", c.ClaimName, other.ClaimName, c.RestoredClaim)
		}
	}
	there := in.Claims[c.RestoredClaim]
	if there != nil && there.Labels[v1alpha1.LabelRestoreUID] != string(in.Restore.UID) {
		return v1alpha1.Problemf(v1alpha1.ReasonClaimExists,
			"there is a PersistentVolumeClaim %q already: write another name for claim %s into spec.target.claims, or none to have one made up", c.RestoredClaim, c.ClaimName)
	}
	return nil
}

// checkReplaceable refuses a claim that could not be deleted: somebody else's
// pod uses it, or a finalizer of another tool holds it.
func (in *RestoreInput) checkReplaceable(name string) error {
	var others []corev1.Pod
	for i := range in.Pods {
		if !in.Workload.Owns(&in.Pods[i]) {
			others = append(others, in.Pods[i])
		}
	}
	return replaceable(name, in.Claims[name], others)
}

// CheckSwap refuses a restore, or its undoing, whose claims can't be replaced
// any more. It is the last look before the application is stopped.
func CheckSwap(r *v1alpha1.VolumeRestore, o RestoreObserved) error {
	if r.Status.Strategy != v1alpha1.StrategyReplace {
		return nil
	}
	for i := range r.Status.Claims {
		name := r.Status.Claims[i].RestoredClaim
		if err := replaceable(name, o.Claims[name], o.Others); err != nil {
			return err
		}
	}
	return nil
}

func replaceable(name string, claim *corev1.PersistentVolumeClaim, others []corev1.Pod) error {
	for i := range others {
		p := &others[i]
		if !MountsClaim(p, name) {
			continue
		}
		mend := "stop it first, or exclude the claim by spec.volumes.exclude"
		if Finished(p) {
			mend = "it has finished: delete it first"
		}
		return v1alpha1.Problemf(v1alpha1.ReasonClaimInUse,
			"pod %s, of another application, uses PersistentVolumeClaim %s, which therefore can't be replaced: %s", p.Name, name, mend)
	}
	if claim == nil {
		return nil
	}
	for _, f := range claim.Finalizers {
		if f != "kubernetes.io/pvc-protection" {
			return v1alpha1.PassingProblemf(v1alpha1.ReasonClaimHeld,
				"PersistentVolumeClaim %s carries the finalizer %s and could not be deleted to be replaced: wait until what set it is done, or remove it", name, f)
		}
	}
	return nil
}

// MountsClaim is true for a pod that has a node and names the claim: such a
// pod protects the claim, even when it has finished.
func MountsClaim(p *corev1.Pod, claim string) bool {
	return p.Spec.NodeName != "" && slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
	})
}

// Finished is true for a pod that will run no more.
func Finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

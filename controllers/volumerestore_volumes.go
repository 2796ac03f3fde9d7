package controllers

import (
	"context"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// keepVolumes sets to Retain what a claim's deletion could take along. Which
// volumes, and what their policies were, is in the status before.
func (r *VolumeRestoreReconciler) keepVolumes(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) outcome {
	recordPolicies(s, o)
	if err := r.save(ctx, s); err != nil {
		return again(err)
	}
	for i := range s.Status.Claims {
		if err := r.keep(ctx, s, &s.Status.Claims[i], o); err != nil {
			return r.stuck(ctx, s, err)
		}
	}
	return goOn()
}

// recordPolicies writes down the reclaim policies of the volumes as they are
// before this restore changes them.
func recordPolicies(s *restoreScope, o snapshot.RestoreObserved) {
	for i := range s.Status.Claims {
		c := &s.Status.Claims[i]
		if v := o.Volumes[c.PreviousVolume]; v != nil && c.PreviousPolicy == "" {
			c.PreviousPolicy = v.Spec.PersistentVolumeReclaimPolicy
		}
		if v := o.Volumes[c.RestoredVolume]; v != nil && c.RestoredPolicy == "" {
			c.RestoredPolicy = v.Spec.PersistentVolumeReclaimPolicy
		}
		if s.Status.RollBack == nil {
			continue
		}
		now := snapshot.BoundVolume(s.VolumeRestore, c, o)
		if v := o.Volumes[now]; v != nil && now != c.PreviousVolume && now != c.RestoredVolume && c.CurrentVolume == "" {
			c.CurrentVolume, c.CurrentPolicy = now, v.Spec.PersistentVolumeReclaimPolicy
		}
	}
}

func (r *VolumeRestoreReconciler) keep(ctx context.Context, s *restoreScope, c *v1alpha1.RestoredClaim, o snapshot.RestoreObserved) error {
	if c.PreviousVolume != "" && o.Volumes[c.PreviousVolume] == nil {
		return v1alpha1.Problemf(v1alpha1.ReasonPreviousGone, "PersistentVolume %s, which claim %s names, is gone", c.PreviousVolume, c.PreviousClaim)
	}
	if err := r.changeVolume(ctx, o.Volumes[c.PreviousVolume], r.retain(s, c, true)); err != nil {
		return err
	}
	if c.CurrentVolume != "" {
		// First its claim: once the volume is kept, this step is done.
		if now := o.Claims[snapshot.CurrentClaim(s.VolumeRestore, c, o)]; now != nil && s.Status.Strategy == v1alpha1.StrategyRepoint {
			if err := r.changeClaim(ctx, now, func(claim *corev1.PersistentVolumeClaim) { r.markPrevious(s, c, claim) }); err != nil {
				return err
			}
		}
		if err := r.changeVolume(ctx, o.Volumes[c.CurrentVolume], r.retain(s, c, true)); err != nil {
			return err
		}
	}
	if s.Status.Strategy == v1alpha1.StrategyReplace || s.Status.RollBack != nil {
		return r.changeVolume(ctx, o.Volumes[c.RestoredVolume], r.retain(s, c, false))
	}
	return r.changeClaim(ctx, o.Claims[c.PreviousClaim], func(claim *corev1.PersistentVolumeClaim) { r.markPrevious(s, c, claim) })
}

// retain is the change that keeps a volume, whatever becomes of its claim.
func (r *VolumeRestoreReconciler) retain(s *restoreScope, c *v1alpha1.RestoredClaim, previous bool) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) {
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		marked := v.Labels[v1alpha1.LabelPrevious] != ""
		if r.markPrevious(s, c, v); !previous && !marked {
			delete(v.Labels, v1alpha1.LabelPrevious)
		}
	}
}

// markPrevious labels what is kept. A claim that an earlier restore made keeps
// the labels of that.
func (r *VolumeRestoreReconciler) markPrevious(s *restoreScope, c *v1alpha1.RestoredClaim, obj client.Object) {
	labels := maps.Clone(obj.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	if labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		maps.Copy(labels, snapshot.RestoreLabels(s.VolumeRestore, c))
	}
	labels[v1alpha1.LabelPrevious] = "true"
	obj.SetLabels(labels)
}

// unmark takes our labels off what is the owner's again.
func unmark(obj client.Object) {
	labels := maps.Clone(obj.GetLabels())
	maps.DeleteFunc(labels, func(key, _ string) bool { return strings.HasPrefix(key, "lull.dev/") })
	obj.SetLabels(labels)
}

// reserve frees the new volumes of their temporary claims, and keeps them for
// claims of the old names: whoever makes such a claim then, this restore or a
// tool that manages it, gets that volume.
func (r *VolumeRestoreReconciler) reserve(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) outcome {
	var waiting []string
	for i := range s.Status.Claims {
		c := &s.Status.Claims[i]
		if temporary := o.Claims[c.TemporaryClaim]; temporary != nil {
			waiting = append(waiting, c.TemporaryClaim+heldBy(temporary))
			if err := r.deleteClaim(ctx, temporary); err != nil {
				return again(err)
			}
			continue
		}
		if snapshot.Reserved(s.Namespace, c, o) {
			continue
		}
		if err := r.reserveFor(ctx, s, c, o.Volumes[c.RestoredVolume]); err != nil {
			return r.stuck(ctx, s, err)
		}
	}
	if len(waiting) == 0 {
		return goOn()
	}
	left, all := r.provenLeft(s), strings.Join(waiting, ", ")
	if left <= 0 {
		return r.giveUp(ctx, s, v1alpha1.ReasonClaimHeld, "temporary claims don't go: "+all)
	}
	s.working(r.Clock, s.Status.Step, "waits until these temporary claims are gone: %s; the application runs", all)
	return waitFor(min(left, lookEvery))
}

// reserveFor keeps a volume of the restore for whichever claim of the
// application's name is made next.
func (r *VolumeRestoreReconciler) reserveFor(ctx context.Context, s *restoreScope, c *v1alpha1.RestoredClaim, v *corev1.PersistentVolume) error {
	if v == nil {
		return nil
	}
	if keeper := snapshot.Keeper(s.VolumeRestore, c, v); keeper != "" {
		return v1alpha1.Problemf(v1alpha1.ReasonPreviousGone,
			"PersistentVolume %s belongs to PersistentVolumeClaim %s by now and isn't taken away from it", v.Name, keeper)
	}
	return r.changeVolume(ctx, v, reservedFor(s.Namespace, c.RestoredClaim, ""))
}

// reservedFor points a volume at a claim. Without a UID it is kept for any
// claim of that name; with one that no claim has, it is released.
func reservedFor(namespace, claim string, uid types.UID) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: namespace, Name: claim, UID: uid}
		delete(v.Annotations, "pv.kubernetes.io/bound-by-controller")
	}
}

// changeVolume changes a volume as it was read; a conflict comes back.
func (r *VolumeRestoreReconciler) changeVolume(ctx context.Context, v *corev1.PersistentVolume, change func(*corev1.PersistentVolume)) error {
	if v == nil {
		return nil
	}
	base := v.DeepCopy()
	change(v)
	return client.IgnoreNotFound(r.Patch(ctx, v, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})))
}

func (r *VolumeRestoreReconciler) changeClaim(ctx context.Context, claim *corev1.PersistentVolumeClaim, change func(*corev1.PersistentVolumeClaim)) error {
	if claim == nil {
		return nil
	}
	base := claim.DeepCopy()
	change(claim)
	return client.IgnoreNotFound(r.Patch(ctx, claim, client.MergeFrom(base)))
}

// deleteClaim deletes a claim as it was read, and no other of its name.
func (r *VolumeRestoreReconciler) deleteClaim(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	if !claim.DeletionTimestamp.IsZero() {
		return nil
	}
	return client.IgnoreNotFound(r.Delete(ctx, claim, client.Preconditions{UID: &claim.UID}))
}

// release lets the new volumes be as any other, and lets go what is not to be
// kept.
func (r *VolumeRestoreReconciler) release(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) outcome {
	if err := r.pauseAgain(ctx, s, o); err != nil {
		return again(err)
	}
	for i := range s.Status.Claims {
		c := &s.Status.Claims[i]
		if err := r.changeVolume(ctx, o.Volumes[c.RestoredVolume], ownPolicy(c.RestoredPolicy)); err != nil {
			return again(err)
		}
		if s.Spec.PreviousClaims != v1alpha1.PreviousDelete || snapshot.StillMounted(s.VolumeRestore, c, o) != "" {
			continue
		}
		if err := r.letPreviousGo(ctx, s, c, o); err != nil {
			return again(err)
		}
	}
	return r.lookAgain(s, o)
}

// lookAgain goes on, but not faster than what was told can happen.
func (r *VolumeRestoreReconciler) lookAgain(s *restoreScope, o snapshot.RestoreObserved) outcome {
	for i := range s.Status.Claims {
		for _, name := range []string{s.Status.Claims[i].PreviousClaim, snapshot.NewClaimName(&s.Status.Claims[i])} {
			if claim := o.Claims[name]; claim != nil && !claim.DeletionTimestamp.IsZero() {
				return waitFor(time.Second)
			}
		}
	}
	return goOn()
}

// letPreviousGo gives the previous volume its own reclaim policy back, and
// deletes its claim: what follows is what its class says.
func (r *VolumeRestoreReconciler) letPreviousGo(ctx context.Context, s *restoreScope, c *v1alpha1.RestoredClaim, o snapshot.RestoreObserved) error {
	if err := r.changeVolume(ctx, o.Volumes[c.PreviousVolume], ownPolicy(c.PreviousPolicy)); err != nil {
		return err
	}
	claim := o.Claims[c.PreviousClaim]
	if s.Status.Strategy != v1alpha1.StrategyRepoint || claim == nil {
		return nil
	}
	if err := r.deleteFinished(ctx, claim.Name, o); err != nil {
		return err
	}
	return r.deleteClaim(ctx, claim)
}

func ownPolicy(policy corev1.PersistentVolumeReclaimPolicy) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) {
		if policy != "" {
			v.Spec.PersistentVolumeReclaimPolicy = policy
		}
		unmark(v)
	}
}

func (r *VolumeRestoreReconciler) pauseAgain(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) error {
	if o.Workload == nil || o.Workload.Paused == s.Status.Paused {
		return nil
	}
	return r.changeWorkload(ctx, s, func(obj client.Object) { setPaused(obj, s.Status.Paused) })
}

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// makeClaims makes a claim from every snapshot, or finds it made.
func (r *VolumeRestoreReconciler) makeClaims(ctx context.Context, s *restoreScope) outcome {
	for i := range s.Status.Claims {
		err := r.makeClaim(ctx, s, &s.Status.Claims[i])
		if p := problemOf(err); p != nil {
			return r.giveUp(ctx, s, p.Reason, p.Message)
		} else if err != nil {
			return again(err)
		}
	}
	s.set(r.Clock, v1alpha1.ConditionClaimsReady, false, v1alpha1.ReasonNotProven, "%d claim(s) are made, and not yet proven to mount", len(s.Status.Claims))
	return goOn()
}

func (r *VolumeRestoreReconciler) makeClaim(ctx context.Context, s *restoreScope, c *v1alpha1.RestoredClaim) error {
	claim := snapshot.NewClaim(s.VolumeRestore, c)
	err := r.Create(ctx, claim)
	switch {
	case apierrors.IsAlreadyExists(err):
		return r.adopt(ctx, s, claim)
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		return v1alpha1.Problemf(v1alpha1.ReasonClaimRefused, "claim %s can't be made: %v", claim.Name, err)
	}
	return err
}

func (r *VolumeRestoreReconciler) adopt(ctx context.Context, s *restoreScope, claim *corev1.PersistentVolumeClaim) error {
	var there corev1.PersistentVolumeClaim
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(claim), &there); err != nil {
		return err
	}
	if there.Labels[v1alpha1.LabelRestoreUID] == string(s.UID) && there.DeletionTimestamp.IsZero() {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonClaimExists,
		"there is a PersistentVolumeClaim %q already: write another name into spec.target.claims, or none to have one made up", claim.Name)
}

// prove binds the claims and mounts them, each group by a pod where the
// application can run. The application runs meanwhile.
func (r *VolumeRestoreReconciler) prove(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) outcome {
	if err := r.makeProofs(ctx, s, o); err != nil {
		if p := problemOf(err); p != nil {
			return r.giveUp(ctx, s, p.Reason, p.Message)
		}
		return again(err)
	}
	var waiting []string
	for name, pod := range o.Proofs {
		switch pod.Status.Phase {
		case corev1.PodSucceeded:
		case corev1.PodFailed:
			return r.giveUp(ctx, s, v1alpha1.ReasonNotProven, fmt.Sprintf("pod %s could not mount the new claims: %s", name, podTrouble(pod)))
		default:
			waiting = append(waiting, name)
		}
	}
	if len(waiting) == 0 && len(o.Proofs) == len(proofNames(s.VolumeRestore)) && r.recordVolumes(s, o) {
		s.set(r.Clock, v1alpha1.ConditionClaimsReady, true, v1alpha1.ReasonAllProven, "%d claim(s) are bound and mount", len(s.Status.Claims))
		if err := r.save(ctx, s); err != nil {
			return again(err)
		}
		return goOn()
	}
	return r.notProven(ctx, s, o, waiting)
}

// notProven says what the claims wait for, in the words of the driver.
func (r *VolumeRestoreReconciler) notProven(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved, waiting []string) outcome {
	slices.Sort(waiting)
	message := "waits until the new claims are bound and mounted; the application runs"
	if said := r.complaint(ctx, s, o, waiting); said != "" {
		message += ". " + said
	}
	since := r.Clock.Now()
	if c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionClaimsReady); c != nil {
		since = c.LastTransitionTime.Time
	}
	left := since.Add(r.Options.ClaimTimeout).Sub(r.Clock.Now())
	if left <= 0 {
		return r.giveUp(ctx, s, v1alpha1.ReasonNotProven, fmt.Sprintf("the new claims were not bound and mounted within %s: %s", r.Options.ClaimTimeout, message))
	}
	s.working(r.Clock, string(snapshot.StepProveClaims), "%s", message)
	return waitFor(min(left, 5*time.Second))
}

// complaint is the newest warning on a claim or a pod that is waited for.
func (r *VolumeRestoreReconciler) complaint(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved, pods []string) string {
	names := slices.Clone(pods)
	for i := range s.Status.Claims {
		if claim := o.Claims[snapshot.NewClaimName(&s.Status.Claims[i])]; claim != nil && claim.Status.Phase != corev1.ClaimBound {
			names = append([]string{claim.Name}, names...)
		}
	}
	for _, name := range names {
		var told corev1.EventList
		if err := r.Live.List(ctx, &told, client.InNamespace(s.Namespace), client.MatchingFields{"involvedObject.name": name, "type": corev1.EventTypeWarning}); err != nil || len(told.Items) == 0 {
			continue
		}
		newest := slices.MaxFunc(told.Items, func(a, b corev1.Event) int { return a.LastTimestamp.Compare(b.LastTimestamp.Time) })
		return fmt.Sprintf("%s: %.512s", name, newest.Message)
	}
	return ""
}

func proofNames(v *v1alpha1.VolumeRestore) []string {
	var names []string
	for _, c := range v.Status.Claims {
		names = append(names, c.ProofPod)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (r *VolumeRestoreReconciler) makeProofs(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) error {
	for _, name := range proofNames(s.VolumeRestore) {
		if o.Proofs[name] != nil {
			continue
		}
		var claims []v1alpha1.RestoredClaim
		for _, c := range s.Status.Claims {
			if c.ProofPod == name {
				claims = append(claims, c)
			}
		}
		pod := snapshot.ProofPod(s.VolumeRestore, name, claims, o.Workload, nodeOf(claims, o), r.Options.Image)
		if err := controllerutil.SetControllerReference(s.VolumeRestore, pod, r.Scheme()); err != nil {
			return err
		}
		err := r.Create(ctx, pod)
		if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
			return v1alpha1.Problemf(v1alpha1.ReasonNotProven, "the pod that proves the new claims can't be made: %v", err)
		}
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// nodeOf is where the application mounts the claims that are replaced.
func nodeOf(claims []v1alpha1.RestoredClaim, o snapshot.RestoreObserved) string {
	for i := range o.Pods {
		for _, c := range claims {
			if snapshot.MountsClaim(&o.Pods[i], c.PreviousClaim) {
				return o.Pods[i].Spec.NodeName
			}
		}
	}
	return ""
}

// recordVolumes writes down which volumes are swapped for which, and their
// reclaim policies. It is false while a claim isn't bound.
func (r *VolumeRestoreReconciler) recordVolumes(s *restoreScope, o snapshot.RestoreObserved) bool {
	for i := range s.Status.Claims {
		c := &s.Status.Claims[i]
		claim := o.Claims[snapshot.NewClaimName(c)]
		if claim == nil || claim.Status.Phase != corev1.ClaimBound || claim.Spec.VolumeName == "" {
			return false
		}
		c.RestoredVolume = claim.Spec.VolumeName
		c.PreviousVolume = snapshot.HeldVolume(o.Claims[c.PreviousClaim])
	}
	return true
}

// endProof deletes the pods that proved the claims, and waits until they are
// gone: a volume may be one that only one pod can have. Where the restore is
// undone it is enough that they go.
func (r *VolumeRestoreReconciler) endProof(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) outcome {
	var names []string
	for name, pod := range o.Proofs {
		names = append(names, name)
		if pod.DeletionTimestamp.IsZero() {
			if err := r.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}); client.IgnoreNotFound(err) != nil {
				return again(err)
			}
		}
	}
	if s.Status.RollBack != nil {
		return goOn()
	}
	slices.Sort(names)
	left, all := r.provenLeft(s), strings.Join(names, ", ")
	if left <= 0 {
		return r.giveUp(ctx, s, v1alpha1.ReasonPodsRemain, fmt.Sprintf("the pod(s) that proved the claims hang: %s: kubectl describe pod -n %s %s says what holds them", all, s.Namespace, names[0]))
	}
	s.working(r.Clock, string(snapshot.StepEndProof), "waits until the pod(s) that proved the claims are gone: %s; the application runs", all)
	return waitFor(min(left, lookEvery))
}

// podTrouble is what keeps a pod from running, in the words of the cluster.
func podTrouble(p *corev1.Pod) string {
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "ContainerCreating" && c.State.Waiting.Reason != "PodInitializing":
			last := ptr.Deref(c.LastTerminationState.Terminated, corev1.ContainerStateTerminated{})
			return strings.TrimRight(fmt.Sprintf("container %s: %s %s %.512s", c.Name, c.State.Waiting.Reason, c.State.Waiting.Message, last.Message), " ")
		case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
			return fmt.Sprintf("container %s ended with %d: %.512s", c.Name, c.State.Terminated.ExitCode, c.State.Terminated.Message)
		case c.State.Running != nil && !c.Ready:
			return fmt.Sprintf("container %s runs and isn't ready", c.Name)
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Message != "" {
			return c.Message
		}
	}
	return strings.TrimRight(fmt.Sprintf("%s %s %s", p.Status.Phase, p.Status.Reason, p.Status.Message), " ")
}

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"golang.org/x/sync/errgroup"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// swap leads the application's claims to the new volumes. All its pods are
// gone, and the volumes of both sides are retained.
func (r *VolumeRestoreReconciler) swap(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) outcome {
	waiting, acted, err := r.lead(ctx, s, o, snapshot.OnRestored,
		restoredClaim, func(c *v1alpha1.RestoredClaim) string { return c.RestoredVolume })
	if err != nil {
		return r.stuck(ctx, s, err)
	}
	if acted {
		return goOn()
	}
	if len(waiting) > 0 {
		return r.awaitSwap(ctx, s, waiting)
	}
	s.set(r.Clock, v1alpha1.ConditionSwapped, true, v1alpha1.ReasonSwapped, "%d claim(s) lead to their restored volumes", len(s.Status.Claims))
	record(r.Events, s.VolumeRestore, eventSwapped(len(s.Status.Claims)))
	return goOn() // the next step's intent is written together with this
}

// swapBack leads the application's claims to the previous volumes again.
func (r *VolumeRestoreReconciler) swapBack(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) outcome {
	waiting, acted, err := r.lead(ctx, s, o, snapshot.OnPrevious,
		func(c *v1alpha1.RestoredClaim) string { return c.PreviousClaim },
		func(c *v1alpha1.RestoredClaim) string { return c.PreviousVolume })
	if err != nil {
		return r.stuck(ctx, s, err)
	}
	if acted {
		return goOn()
	}
	if len(waiting) > 0 {
		return r.awaitSwap(ctx, s, waiting)
	}
	return goOn()
}

// field is one of a claim's fields: where it is to lead.
type field func(*v1alpha1.RestoredClaim) string

func restoredClaim(c *v1alpha1.RestoredClaim) string { return c.RestoredClaim }

// lead brings every claim a step nearer to where it is to lead. It says what
// has to be waited for, and whether it did anything: what it did may have come
// about by the time it is looked at again.
func (r *VolumeRestoreReconciler) lead(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved,
	there func(*v1alpha1.VolumeRestore, *v1alpha1.RestoredClaim, snapshot.RestoreObserved) bool, claim, volume field) (waiting []string, acted bool, err error) {
	if s.Status.Strategy == v1alpha1.StrategyRepoint {
		return r.repoint(ctx, s, o, there, claim)
	}
	waits, acts := make([]string, len(s.Status.Claims)), make([]bool, len(s.Status.Claims))
	all, ctx := errgroup.WithContext(ctx)
	for i := range s.Status.Claims {
		c := &s.Status.Claims[i]
		if !there(s.VolumeRestore, c, o) {
			all.Go(func() (err error) {
				waits[i], acts[i], err = r.replace(ctx, s, c, o, volume(c))
				return err
			})
		}
	}
	err = all.Wait()
	return slices.DeleteFunc(waits, func(what string) bool { return what == "" }), slices.Contains(acts, true), err
}

// repoint points the pod template at other claims, while the application has
// no replicas. A rollout that is paused goes on until the end of the restore:
// it would keep the new template back. Whether the template leads there then is
// for the next look to say: its owner changes it too.
func (r *VolumeRestoreReconciler) repoint(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved,
	there func(*v1alpha1.VolumeRestore, *v1alpha1.RestoredClaim, snapshot.RestoreObserved) bool, claim field) (waiting []string, acted bool, err error) {
	done := true
	for i := range s.Status.Claims {
		done = done && there(s.VolumeRestore, &s.Status.Claims[i], o)
	}
	if done {
		return nil, false, nil
	}
	if o.Workload == nil {
		return nil, false, v1alpha1.Problemf(v1alpha1.ReasonApplicationNotFound, "%s %s is gone", s.Status.Application.Kind, s.Status.Application.Name)
	}
	first := !s.repointed
	s.repointed = true
	return []string{"its pod template leads to the claims"}, first, r.changeWorkload(ctx, s, s.repointing(o, claim))
}

// repointing is the change of the application that leads its template to the
// claims.
func (s *restoreScope) repointing(o snapshot.RestoreObserved, claim field) func(client.Object) {
	claims := map[string]string{}
	for i := range s.Status.Claims {
		c := &s.Status.Claims[i]
		for _, v := range snapshot.LedVolumes(c, o) {
			claims[v] = claim(c)
		}
	}
	return func(obj client.Object) {
		snapshot.Repoint(templateOf(obj), claims)
		setPaused(obj, false)
	}
}

// replace puts a claim of the same name for another volume in the place of a
// claim: reserve the volume for the name, delete the old claim, see it gone and
// the volume available, make the new claim, see it bound.
//
// The PersistentVolume controller binds a claim that it sees before it has seen
// the volume's reservation only when it looks at all claims again, after 15
// seconds: it calls the volume Available once it has.
func (r *VolumeRestoreReconciler) replace(ctx context.Context, s *restoreScope, c *v1alpha1.RestoredClaim, o snapshot.RestoreObserved, volume string) (waits string, acted bool, err error) {
	v, claim := o.Volumes[volume], o.Claims[c.RestoredClaim]
	if v == nil {
		return "", false, v1alpha1.Problemf(v1alpha1.ReasonPreviousGone, "PersistentVolume %s is gone, claim %s can't lead to it", volume, c.RestoredClaim)
	}
	waits = fmt.Sprintf("%s is bound to %s", c.RestoredClaim, volume)
	if claim != nil && (claim.Spec.VolumeName == volume || claim.Spec.VolumeName == "" && !olderThanSwap(s, claim)) {
		return waits, false, nil
	}
	if !snapshot.ReservedForAny(v, s.Namespace, c.RestoredClaim) {
		return waits, true, r.reserveFor(ctx, s, c, v)
	}
	if claim != nil {
		waits = fmt.Sprintf("the old claim %s is gone%s", c.RestoredClaim, heldBy(claim))
		return waits, claim.DeletionTimestamp.IsZero(), r.deleteOld(ctx, s, c, claim, o)
	}
	if v.Status.Phase != corev1.VolumeAvailable {
		return fmt.Sprintf("PersistentVolume %s, reserved for claim %s, is available", volume, c.RestoredClaim), false, nil
	}
	err = r.Create(ctx, snapshot.BoundClaim(s.VolumeRestore, c, volume))
	gone := apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
	if apierrors.IsForbidden(err) && !gone {
		// A quota, or a policy, that somebody can lift. The old claim is gone.
		return fmt.Sprintf("claim %s can be made for PersistentVolume %s: %v", c.RestoredClaim, volume, err), false, nil
	}
	if gone || apierrors.IsInvalid(err) {
		return "", false, v1alpha1.Problemf(v1alpha1.ReasonClaimRefused, "claim %s can't be made for PersistentVolume %s: %v", c.RestoredClaim, volume, err)
	}
	return waits, true, ignoreAlreadyExists(err)
}

// olderThanSwap is true for a claim that waited for a volume before this
// restore stopped the application: one that came since is for the new volume,
// which is reserved for its name.
func olderThanSwap(s *restoreScope, claim *corev1.PersistentVolumeClaim) bool {
	since := s.Status.ScaledDownAt
	if s.Status.RollBack != nil {
		since = &s.Status.RollBack.StartedAt
	}
	return claim.CreationTimestamp.Time.Before(since.Truncate(1e9))
}

// deleteOld deletes a claim whose volume is known to be kept, and the finished
// pods of the application that would hold it.
func (r *VolumeRestoreReconciler) deleteOld(ctx context.Context, s *restoreScope, c *v1alpha1.RestoredClaim, claim *corev1.PersistentVolumeClaim, o snapshot.RestoreObserved) error {
	bound := snapshot.HeldVolume(claim)
	if bound != "" && bound != c.PreviousVolume && bound != c.RestoredVolume && bound != c.CurrentVolume {
		return v1alpha1.Problemf(v1alpha1.ReasonClaimHeld, "claim %s is bound to %s, which this restore doesn't know: somebody has changed it", claim.Name, bound)
	}
	if v := o.Volumes[bound]; v != nil && v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
		return r.changeVolume(ctx, v, r.retain(s, c, false))
	}
	if err := r.deleteFinished(ctx, claim.Name, o); err != nil {
		return err
	}
	return r.deleteClaim(ctx, claim)
}

func (r *VolumeRestoreReconciler) deleteFinished(ctx context.Context, claim string, o snapshot.RestoreObserved) error {
	for i := range o.Finished {
		p := &o.Finished[i]
		if !snapshot.MountsClaim(p, claim) {
			continue
		}
		if err := r.Delete(ctx, p, client.Preconditions{UID: &p.UID}); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

func heldBy(claim *corev1.PersistentVolumeClaim) string {
	if claim.DeletionTimestamp.IsZero() || len(claim.Finalizers) == 0 {
		return ""
	}
	return " (held by " + strings.Join(claim.Finalizers, ", ") + ")"
}

// awaitSwap waits for the claims, and gives up at the deadline.
func (r *VolumeRestoreReconciler) awaitSwap(ctx context.Context, s *restoreScope, waiting []string) outcome {
	message := "the application is down; waits until " + strings.Join(waiting, ", ")
	since := s.stepSince(r.Clock)
	left := since.Add(s.stepLimit()).Sub(r.Clock.Now())
	if left <= 0 {
		return r.giveUp(ctx, s, v1alpha1.ReasonSwapping, "the claims could not be swapped in time: "+message)
	}
	if r.Clock.Since(since) < swapGrace {
		return waitFor(swapGrace / 50) // it is a matter of moments: no word on it
	}
	s.working(r.Clock, s.Status.Step, "%s", message)
	return waitFor(min(left, lookEvery))
}

// swapGrace is how long claims may take to go or to be bound before it is told.
// Kubernetes takes a few hundredths of it.
const swapGrace = time.Second

// swapLimit is how long it may take at least, however soon the application is
// to be ready: what binds claims may be restarted meanwhile, and giving up on
// the way back leaves the application down.
const swapLimit = 2 * time.Minute

func ignoreAlreadyExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// stuck gives up for what only a person can mend, and tries again otherwise.
func (r *VolumeRestoreReconciler) stuck(ctx context.Context, s *restoreScope, err error) outcome {
	var p *v1alpha1.Problem
	if errors.As(err, &p) {
		return r.giveUp(ctx, s, p.Reason, p.Message)
	}
	return again(err)
}

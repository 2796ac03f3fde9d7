package controllers

import (
	"cmp"
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// discard gives the previous volumes back as they were. The new ones are kept
// where the application has run on them, for what it wrote there, and removed
// where it has not: the backup still holds what is in them.
func (r *VolumeRestoreReconciler) discard(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) outcome {
	if s.Status.ScaledDownAt != nil {
		if err := r.pauseAgain(ctx, s, o); err != nil {
			return again(err)
		}
	}
	for i := range s.Status.Claims {
		c := &s.Status.Claims[i]
		if err := r.changeVolume(ctx, o.Volumes[c.PreviousVolume], ownPolicy(c.PreviousPolicy)); err != nil {
			return again(err)
		}
		if previous := o.Claims[c.PreviousClaim]; previous != nil && previous.Labels[v1alpha1.LabelPrevious] != "" {
			if err := r.changeClaim(ctx, previous, func(claim *corev1.PersistentVolumeClaim) { r.unmarkPrevious(claim) }); err != nil {
				return again(err)
			}
		}
		if snapshot.InUse(s.VolumeRestore, c, o) {
			if err := r.changeVolume(ctx, o.Volumes[c.RestoredVolume], ownPolicy(c.RestoredPolicy)); err != nil {
				return again(err)
			}
			continue
		}
		if err := r.discardRestored(ctx, s, c, o); err != nil {
			return again(err)
		}
	}
	if going := snapshot.Going(s.VolumeRestore, o); len(going) > 0 {
		return r.awaitDiscarded(ctx, s, o, strings.Join(going, ", "))
	}
	return r.lookAgain(s, o)
}

// discardLimit is how long a restore that is undone waits for what it has
// deleted. All is written then, so that it goes by itself once it can.
const discardLimit = 2 * time.Minute

func (r *VolumeRestoreReconciler) awaitDiscarded(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved, going string) outcome {
	rb := s.Status.RollBack
	left := cmp.Or(rb.ReadyAt, &rb.StartedAt).Add(discardLimit).Sub(r.Clock.Now())
	if left <= 0 {
		rb.Message += "; still being deleted: " + going
		return r.rolledBack(ctx, s, o)
	}
	s.working(r.Clock, s.Status.Step, "waits until what was only made for the restore is gone: %s", going)
	return waitFor(min(left, lookEvery))
}

// unmarkPrevious makes a claim that was replaced the application's again. One
// that an earlier restore made keeps the labels of that.
func (r *VolumeRestoreReconciler) unmarkPrevious(claim *corev1.PersistentVolumeClaim) {
	if claim.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy {
		delete(claim.Labels, v1alpha1.LabelPrevious)
		return
	}
	unmark(claim)
}

func (r *VolumeRestoreReconciler) discardRestored(ctx context.Context, s *restoreScope, c *v1alpha1.RestoredClaim, o snapshot.RestoreObserved) error {
	v, claim := o.Volumes[c.RestoredVolume], o.Claims[snapshot.NewClaimName(c)]
	if s.Status.ScaledUpAt != nil {
		if err := r.changeVolume(ctx, v, r.retain(s, c, true)); err != nil || c.TemporaryClaim != "" {
			return err
		}
		return r.changeClaim(ctx, claim, func(claim *corev1.PersistentVolumeClaim) { r.markPrevious(s, c, claim) })
	}
	if err := r.changeVolume(ctx, v, func(v *corev1.PersistentVolume) {
		ownPolicy(c.RestoredPolicy)(v)
		if ref := v.Spec.ClaimRef; c.TemporaryClaim != "" && ref != nil && ref.Name == c.RestoredClaim {
			// The UID is no claim's: the volume is released, and goes as its
			// class says.
			reservedFor(s.Namespace, c.TemporaryClaim, s.UID)(v)
		}
	}); err != nil {
		return err
	}
	if claim != nil && claim.Labels[v1alpha1.LabelRestoreUID] == string(s.UID) {
		return r.deleteClaim(ctx, claim)
	}
	return nil
}

package controllers

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// refusedLimit is how long a step is tried that the API server refuses, by an
// admission policy for one, while there is a way back. A refusal for another
// reason, such as an object that was changed a moment ago, doesn't last so long.
const refusedLimit = 10 * time.Second

// bounded is what a step came to, unless it has failed for too long: then the
// restore goes back, since the application may be down. Steps that wait for the
// application or its claims have deadlines of their own.
func (r *VolumeRestoreReconciler) bounded(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved, out outcome) outcome {
	if out.err == nil || isConflict(out.err) || ctx.Err() != nil {
		return out
	}
	left := r.stepLeft(s, swapLimit)
	if refused(out.err) && s.Status.RollBack == nil {
		left = s.stepSince(r.Clock).Add(refusedLimit).Sub(r.Clock.Now())
	}
	if left > 0 {
		return out
	}
	why := fmt.Sprintf("step %s could not be taken: %v", s.Status.Step, out.err)
	switch snapshot.RestoreStep(s.Status.Step) {
	case snapshot.StepAwaitGone, snapshot.StepAwaitStart, snapshot.StepFinish:
		return out
	case snapshot.StepRelease:
		// The application is ready on what was restored: that isn't undone.
		return r.complete(ctx, s, o, "; "+why)
	}
	return r.giveUp(ctx, s, v1alpha1.ReasonAPIError, why)
}

func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
}

// stepLeft is how long the step may still take: as long as the application has
// to be ready, or least where that is shorter.
func (r *VolumeRestoreReconciler) stepLeft(s *restoreScope, least time.Duration) time.Duration {
	return s.stepSince(r.Clock).Add(max(least, s.Spec.ReadyTimeout.Duration)).Sub(r.Clock.Now())
}

// stepSince is when the step was begun.
func (s *restoreScope) stepSince(now clock.PassiveClock) time.Time {
	if s.Status.StepSince == nil {
		return now.Now()
	}
	return s.Status.StepSince.Time
}

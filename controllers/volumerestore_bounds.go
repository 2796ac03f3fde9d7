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
// application or its claims have deadlines of their own. A step that has given
// up already, and could not write that, isn't judged a second time: it would
// look as if going back had failed.
func (r *VolumeRestoreReconciler) bounded(ctx context.Context, s *restoreScope, step string, o snapshot.RestoreObserved, out outcome) outcome {
	if out.err == nil {
		r.failing.Delete(s.UID)
		return out
	}
	if isConflict(out.err) || ctx.Err() != nil || s.Status.Step != step {
		return out
	}
	limit := s.stepLimit()
	if refused(out.err) && s.Status.RollBack == nil {
		limit = refusedLimit
	}
	if r.failingFor(s) < limit {
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

// failure is the first of a step's failures in a row.
type failure struct {
	step string
	at   time.Time
}

// failingFor is how long the step has failed, as far as this manager knows. It
// isn't counted from when the step was begun: after an outage the API server
// may refuse for a moment what it lets be done right after.
func (r *VolumeRestoreReconciler) failingFor(s *restoreScope) time.Duration {
	first := failure{step: s.Status.Step, at: r.Clock.Now()}
	if before, ok := r.failing.Load(s.UID); ok && before.(failure).step == first.step {
		return first.at.Sub(before.(failure).at)
	}
	r.failing.Store(s.UID, first)
	return 0
}

func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
}

// stepLimit is how long a step may take: as long as the application has to be
// ready, and not less than the claims have to be swapped.
func (s *restoreScope) stepLimit() time.Duration {
	return max(swapLimit, s.Spec.ReadyTimeout.Duration)
}

// stepSince is when the step was begun.
func (s *restoreScope) stepSince(now clock.PassiveClock) time.Time {
	if s.Status.StepSince == nil {
		return now.Now()
	}
	return s.Status.StepSince.Time
}

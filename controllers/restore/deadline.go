package restore

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/restore"
)

// refusedLimit is how long a step is tried that the API server refuses, by an
// admission policy for one, while there is something that the application can run
// on meanwhile. A refusal for another reason, such as an object that was changed a moment ago, doesn't last so long.
const refusedLimit = 10 * time.Second

// withinDeadline is what a step came to, unless it has failed for too long: then
// the restore is given up, since the application may be down. Steps that wait
// for the application or its claims have deadlines of their own.
func (w *run) withinDeadline(ctx context.Context, state *restore.State, out reconcile.Outcome) reconcile.Outcome {
	v, err := w.Object, out.Err()
	if err == nil {
		w.failing.Delete(client.ObjectKeyFromObject(v))
		return out
	}
	if apierrors.IsConflict(err) || ctx.Err() != nil {
		return out
	}
	limit := restore.StepDeadline(v)
	if mayStepAside := v.Status.RollBack == nil || restore.MayCallOff(state); isRefusal(err) && mayStepAside {
		limit = refusedLimit
	}
	if w.failingFor() < limit {
		return out
	}
	const failed = "step %s could not be taken: %v"
	p := v1alpha1.Problemf(v1alpha1.ReasonAPIError, failed, v.Status.Step, err)
	switch restore.StepName(v.Status.Step) {
	case restore.StepAwaitPodsGone, restore.StepAwaitReady, restore.StepEnd:
		return out
	case restore.StepSwapBack:
		if !restore.MayCallOff(state) { // it has part of its claims, or none: there is no way but on
			tellFailed(w.scope, p)
			return reconcile.Wait(lookEvery)
		}
	case restore.StepRelease:
		if v.Status.RollBack != nil {
			return callOff(w.scope, restore.CallOff(state))
		}
		// The application is ready on what was restored: that isn't undone.
		return markComplete(w.scope, state, "; "+p.Message)
	}
	return reconcile.Stall(p)
}

// failure is the first of a step's failures in a row.
type failure struct {
	uid  types.UID
	step string
	at   time.Time
}

// failingFor is how long the step has failed, as far as this manager knows. It
// isn't counted from when the step was begun: after an outage the API server
// may refuse for a moment what it lets be done right after.
func (w *run) failingFor() time.Duration {
	key := client.ObjectKeyFromObject(w.Object)
	first := failure{uid: w.Object.UID, step: w.Object.Status.Step, at: w.Now()}
	if known, ok := w.failing.Load(key); ok && known.(failure).uid == first.uid && known.(failure).step == first.step {
		return first.at.Sub(known.(failure).at)
	}
	w.failing.Store(key, first)
	return 0
}

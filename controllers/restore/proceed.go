package restore

import (
	"cmp"
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/restore"
)

// proceed takes the next step of the plan: the first that isn't done by what is
// there, unless a check objects.
func (w *run) proceed(ctx context.Context) reconcile.Outcome {
	state, err := w.observe(ctx)
	if err != nil {
		return reconcile.Retry(err)
	}
	next := restore.Next(state)
	if isTakenOver(w.Object, state) {
		return markTakenOver(w.scope)
	}
	objection, err := w.objection(ctx, state, next)
	if err != nil {
		return w.withinDeadline(ctx, state, reconcile.Retry(err))
	}
	if !objection.IsNothing() {
		return w.take(ctx, state, next, objection).In(string(next.Name))
	}
	if err := w.intend(ctx, state, next); err != nil {
		return reconcile.Retry(err)
	}
	if next.Name == restore.StepFill {
		if err := w.fill(ctx, state); err != nil {
			return w.withinDeadline(ctx, state, reconcile.Failed(err)).In(string(next.Name))
		}
	}
	need := next.Need()
	if w.stop.isOld() && need.DependsOnPods(state) {
		w.forgetStop()
		return reconcile.Continue()
	}
	out := w.withinDeadline(ctx, state, w.take(ctx, state, next, need))
	return w.orCallOff(state, out).In(string(next.Name))
}

// objection is what the checks say of the next step. Before the one that stops
// the application it is looked at more, once nothing else objects.
func (w *run) objection(ctx context.Context, state *restore.State, next restore.Step) (restore.Need, error) {
	need := restore.Objection(state, next)
	if !need.IsNothing() || !restore.Stops(state, next) {
		return need, nil
	}
	if err := w.lookAhead(ctx, state); err != nil {
		return restore.Need{}, err
	}
	return restore.Objection(state, next), nil
}

// lookAhead finds out what may stand in the way once the application is stopped.
func (w *run) lookAhead(ctx context.Context, state *restore.State) (err error) {
	if state.Autoscalers, err = w.autoscalers(ctx); err != nil {
		return err
	}
	if state.Refused, err = w.dryRun(ctx, restore.ChangesAhead(state)); err != nil {
		return err
	}
	backups, err := w.live().Backups(ctx, w.Object.Namespace)
	state.QuietedBy = restore.QuietedBy(*w.Object.Status.Application, backups)
	return err
}

// take makes the changes that a step needs, waits for what it needs beside
// them, and marks it as done where it needs nothing.
func (w *run) take(ctx context.Context, state *restore.State, step restore.Step, need restore.Need) reconcile.Outcome {
	if need.Problem != nil {
		return reconcile.Stall(need.Problem)
	}
	hasMore := w.hasMore(need.Changes)
	refused, err := w.apply(ctx, need.Changes)
	switch {
	case err != nil:
		return reconcile.Failed(err)
	case need.Wait != nil && (!hasMore || len(refused) > 0):
		need.Wait.For = append(need.Wait.For, refused...)
		return w.await(state, step, need.Wait)
	case len(need.Changes) > 0:
		if step.Name == restore.StepScaleDown {
			w.Object.Status.Stops++ // saved with the next step's intent
		}
		return reconcile.Continue() // what was told may have come about already
	}
	return w.mark(state, step)
}

// hasMore is true where a change wasn't made before in this reconcile. One that
// was is undone by somebody each time, or takes a moment to show.
func (w *run) hasMore(changes []restore.Change) bool {
	more := false
	for _, change := range changes {
		more = more || !w.made[change.String()]
		w.made[change.String()] = true
	}
	return more
}

// quietDelay is how soon it is looked again while a wait isn't told yet: it is a
// matter of moments, and the application is down.
const quietDelay = 20 * time.Millisecond

// await says what is waited for. When it is late the restore is undone, or goes
// on without it.
func (w *run) await(state *restore.State, step restore.Step, wait *restore.Wait) reconcile.Outcome {
	now := w.Now()
	switch {
	case wait.IsLate(now) && wait.GoesOn:
		if rb := w.Object.Status.RollBack; rb != nil {
			rb.Message = reconcile.Shorten(rb.Message + wait.Note)
		}
		return w.mark(state, step)
	case wait.IsLate(now) && wait.KeepsOn:
		tellFailed(w.scope, wait.Problem())
		return reconcile.Wait(lookEvery)
	case wait.IsLate(now):
		return reconcile.Stall(wait.Problem())
	case now.Before(wait.Quiet):
		return reconcile.Wait(quietDelay)
	}
	if wait.Condition != "" {
		w.Set(wait.Condition, false, wait.ConditionReason, "%s", wait.Message())
	}
	w.Working(cmp.Or(wait.Reason, string(step.Name)), "%s", wait.Message())
	every := cmp.Or(wait.Every, lookEvery)
	if wait.Until.IsZero() {
		return reconcile.Wait(every)
	}
	return reconcile.Wait(min(wait.Until.Sub(now), every))
}

// intend writes the step into the status before it is taken, with all that
// has to be known to undo it: above all how many replicas the application had.
func (w *run) intend(ctx context.Context, state *restore.State, next restore.Step) error {
	if next.Name == restore.StepKeepVolumes {
		restore.RecordPolicies(state)
	}
	if next.Name == restore.StepSwapBack {
		restore.RecordPreviousClaims(state)
	}
	if w.Object.Status.Step != string(next.Name) {
		w.enter(state, next)
	}
	return w.Save(ctx)
}

func (w *run) enter(state *restore.State, next restore.Step) {
	status, way, now := &w.Object.Status, restore.WayOf(w.Object), microTime(w.Now())
	status.Step, status.StepSince = string(next.Name), now
	forgetFailure(w.scope)
	switch next.Name {
	case restore.StepCheckMounts:
		w.Set(v1alpha1.ConditionClaimsReady, false, v1alpha1.ReasonNotProven, "%s", next.What)
	case restore.StepScaleDown:
		noteReplicas(status, state, status.Replicas == nil)
		if way.IsBack || *way.ScaledDownAt == nil {
			*way.ScaledDownAt = now
		}
		w.Set(v1alpha1.ConditionScaledDown, false, v1alpha1.ReasonScalingDown, "the application is told to stop")
		w.Set(v1alpha1.ConditionApplicationReady, false, v1alpha1.ReasonScalingDown, "the application is told to stop")
	case restore.StepSwap, restore.StepSwapBack:
		w.Set(v1alpha1.ConditionScaledDown, true, v1alpha1.ReasonPodsGone, "all pods of the application are gone")
		w.Set(v1alpha1.ConditionSwapped, false, v1alpha1.ReasonSwapping, "%s", next.What)
	case restore.StepScaleUp:
		*way.ScaledUpAt = now
		w.Set(v1alpha1.ConditionApplicationReady, false, v1alpha1.ReasonScalingUp, "%s", next.What)
	}
	w.Working(string(next.Name), "%s", next.What)
}

// noteReplicas writes down how the application is.
func noteReplicas(status *v1alpha1.VolumeRestoreStatus, state *restore.State, isDue bool) {
	if app := state.Workload; isDue && app != nil {
		status.Replicas, status.Paused, status.WasReady = ptr.To(app.Replicas), app.Paused, app.Unready == ""
	}
}

// mark writes down what a step came to. It is saved together with the next
// step's intent.
func (w *run) mark(state *restore.State, step restore.Step) reconcile.Outcome {
	claims := len(w.Object.Status.Claims)
	switch step.Name {
	case restore.StepCheckMounts:
		restore.RecordVolumes(state)
		w.Set(v1alpha1.ConditionClaimsReady, true, v1alpha1.ReasonAllProven, "%d claim(s) are bound and mount", claims)
	case restore.StepFill:
		w.Set(v1alpha1.ConditionClaimsFilled, true, v1alpha1.ReasonFilled, "%d claim(s) hold what was asked for from %s", claims, restore.SourceOf(w.Object))
	case restore.StepAwaitPodsGone: // they hang, and the application has its previous volumes
		*restore.WayOf(w.Object).ScaledUpAt = microTime(w.Now())
	case restore.StepSwap:
		w.Set(v1alpha1.ConditionSwapped, true, v1alpha1.ReasonSwapped, "%d claim(s) lead to their restored volumes", claims)
		w.RecordOnceSaved(eventSwapped(claims))
	case restore.StepAwaitReady:
		w.markReady(state)
	case restore.StepDiscard: // not all of it is gone
		return markRolledBack(w.scope, state)
	case restore.StepCallOff:
		return callOff(w.scope, restore.CallOff(state))
	case restore.StepEnd:
		if restore.WayOf(w.Object).IsBack {
			return markRolledBack(w.scope, state)
		}
		return markComplete(w.scope, state, "")
	}
	return reconcile.Continue()
}

// markReady notes that the application is ready again, or as ready as it was
// before, and how long it was down.
func (w *run) markReady(state *restore.State) {
	status, now := &w.Object.Status, w.Now()
	from, message := status.ScaledDownAt, "the application is ready"
	isReady := state.Workload != nil && state.Workload.Unready == ""
	if !isReady {
		message = "the application isn't ready, nor was it before"
	}
	if rb := status.RollBack; rb != nil {
		rb.ReadyAt = microTime(now)
		if w.Is(v1alpha1.ConditionComplete) {
			from = cmp.Or(rb.ScaledDownAt, from)
		}
	}
	if isReady && ptr.Deref(status.Replicas, 0) > 0 {
		down := now.Sub(from.Time).Round(time.Millisecond)
		message += fmt.Sprintf(", it was down for %s", down)
		if status.RollBack == nil || status.Downtime == nil {
			status.Downtime = &metav1.Duration{Duration: down}
		}
		w.OnceSaved(func() { downtimeSeconds.Observe(down.Seconds()) })
	}
	w.Set(v1alpha1.ConditionApplicationReady, isReady || status.RollBack == nil, v1alpha1.ReasonApplicationReady, "%s", message)
}

package restore

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/restore"
)

// rollBackAsAsked begins to undo a restore, or says why it can't be.
func (w *run) rollBackAsAsked(ctx context.Context) reconcile.Outcome {
	v := w.Object
	if !restore.IsRollBackAsked(v) {
		return reconcile.Skip()
	}
	if restore.Ended(v) {
		w.exclusive.Lock() // until the status says who works on the application
		defer w.exclusive.Unlock()
		if out := w.awaitExclusivity(ctx, *v.Status.Application); !out.Skipped() {
			return out
		}
	}
	state, err := w.observe(ctx)
	if err != nil {
		return reconcile.Retry(err)
	}
	if owner := state.Workload; restore.Ended(v) && owner != nil && owner.IsUnseen {
		// In a moment it says what becomes of the change, which decides.
		w.Working(v1alpha1.ReasonRevisionHeld, "waits until the controller of %s %s has seen its newest change; nothing was touched", owner.Ref.Kind, owner.Ref.Name)
		return reconcile.Wait(lookEvery)
	}
	others, err := w.live().Restores(ctx, v.Namespace)
	if err != nil {
		return reconcile.Retry(err)
	}
	p, err := w.mayRollBack(ctx, state, others)
	if err != nil {
		return reconcile.Retry(err)
	}
	if p != nil {
		refuse(w.scope, p)
		return reconcile.Failed(w.Save(ctx))
	}
	// Its owner may have scaled it since. One that isn't complete may be at zero
	// because of us.
	isOwners := state.Workload != nil && (state.Workload.Replicas > 0 || w.Is(v1alpha1.ConditionComplete))
	noteReplicas(&v.Status, state, isOwners && v.Status.Replicas != nil && restore.Ended(v))
	rollBack(w.scope, v1alpha1.ReasonRollBackAsked, "undone as asked by spec.rollBack")
	return reconcile.Failed(w.Save(ctx))
}

// mayRollBack says why a restore isn't undone as asked, nil where it is. Where its
// application runs, what fights the stop is a reason too, and so is a policy that
// refuses a change: it would be stopped for nothing.
func (w *run) mayRollBack(ctx context.Context, state *restore.State, others []v1alpha1.VolumeRestore) (*v1alpha1.Problem, error) {
	p := restore.MayRollBack(state, others)
	isRunning := state.Workload != nil && state.Workload.Replicas > 0
	if p != nil || !restore.Ended(w.Object) || !isRunning && !w.Is(v1alpha1.ConditionComplete) {
		return p, nil
	}
	var err error
	if state.Autoscalers, err = w.autoscalers(ctx); err != nil {
		return nil, err
	}
	if p := restore.UnstoppableBack(state); p != nil {
		return p, nil
	}
	refused, err := w.dryRun(ctx, restore.ChangesBack(state))
	return restore.RefusedBack(refused), err
}

// refuse says why a restore isn't undone. It stays as it was.
func refuse(s *scope, p *v1alpha1.Problem) {
	s.Set(v1alpha1.ConditionRolledBack, false, p.Reason, "%s", p.Message)
	s.Set(v1alpha1.ConditionStalled, true, p.Reason, "%s", p.Message)
	s.RecordOnceSaved(eventRollBackRefused(p.Reason, p.Message))
}

// isWithdrawn is true where a rollback was refused that isn't asked any more.
func isWithdrawn(v *v1alpha1.VolumeRestore) bool {
	return !v.Spec.RollBack && v.Status.RollBack == nil && condition(v, v1alpha1.ConditionRolledBack) != nil
}

// withdraw forgets a refusal once nothing is asked any more, so that it can be
// asked again.
func (w *run) withdraw(context.Context) reconcile.Outcome {
	isBack, isRelease := isWithdrawn(w.Object), isReleaseWithdrawn(w.Object)
	if !isBack && !isRelease {
		return reconcile.Skip()
	}
	if isBack {
		w.Remove(v1alpha1.ConditionRolledBack)
	}
	if isRelease {
		w.Remove(v1alpha1.ConditionPreviousReleased)
	}
	w.Remove(v1alpha1.ConditionStalled)
	if failed := w.Find(v1alpha1.ConditionFailed); failed != nil && w.Is(v1alpha1.ConditionFailed) {
		w.Set(v1alpha1.ConditionStalled, true, failed.Reason, "%s", failed.Message)
	}
	return reconcile.Skip()
}

// rest is the end of the way of a restore that has ended. It answers who wants
// what can't be undone undone.
func (w *run) rest(ctx context.Context) reconcile.Outcome {
	v := w.Object
	if !restore.Ended(v) {
		return reconcile.Skip()
	}
	if err := w.noteStarted(ctx); err != nil {
		return reconcile.Retry(err)
	}
	p := refusalDue(v)
	switch {
	case p == nil:
	case p.Reason == v1alpha1.ReasonAlreadyRolledBack: // and that stays true
		w.Set(v1alpha1.ConditionStalled, true, p.Reason, "%s", p.Message)
		w.RecordOnceSaved(eventRollBackRefused(p.Reason, p.Message))
	default:
		refuse(w.scope, p)
	}
	return reconcile.Done()
}

// noteStarted follows an application that going back has left stopped, until a
// person has started it: until then it is down by this restore.
func (w *run) noteStarted(ctx context.Context) error {
	v := w.Object
	if !restore.IsLeftStopped(v) {
		return nil
	}
	app, err := w.live().Workload(ctx, v.Namespace, *v.Status.Application)
	if err == nil && (app == nil || app.Replicas > 0) {
		w.Remove(v1alpha1.ConditionApplicationReady)
	}
	return err
}

// refusalDue is why a restore that has ended can't be undone as asked, where it
// did nothing or has undone itself. It is nil where nothing is asked, or all is
// answered.
func refusalDue(v *v1alpha1.VolumeRestore) *v1alpha1.Problem {
	rb, stalled, failed := v.Status.RollBack, condition(v, v1alpha1.ConditionStalled), condition(v, v1alpha1.ConditionFailed)
	switch {
	case !v.Spec.RollBack:
		return nil
	case v.Status.Strategy == "":
		if condition(v, v1alpha1.ConditionRolledBack) != nil || failed == nil || failed.Reason == v1alpha1.ReasonNothingToRollBack {
			return nil
		}
		return v1alpha1.Problemf(v1alpha1.ReasonNothingToRollBack, "nothing was restored, so there is nothing to undo: %s", failed.Message)
	case rb == nil || rb.Reason == v1alpha1.ReasonRollBackAsked || !isTrue(v, v1alpha1.ConditionRolledBack):
		return nil
	case stalled != nil && stalled.Reason == v1alpha1.ReasonAlreadyRolledBack:
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonAlreadyRolledBack, "this restore was rolled back already, so there is nothing to undo: %s", rb.Message)
}

// giveUp undoes a restore that can't go on, or leaves it where that is wanted.
// What failed while undoing needs a person.
func giveUp(s *scope, p *v1alpha1.Problem) reconcile.Outcome {
	v := s.Object
	if restore.WayOf(v).IsBack {
		s.Set(v1alpha1.ConditionRolledBack, false, v1alpha1.ReasonRollBackFailed, "%s", p.Message)
		return markFailed(s, v1alpha1.ReasonRollBackFailed, p.Message+". "+byHandBack(v)+". To have it tried again once that is mended: spec.rollBack: false, then true")
	}
	wasStarted := v.Status.Step == string(restore.StepAwaitReady) // one that is stopped isn't left so
	if v.Spec.OnFailure == v1alpha1.RestoreLeave && wasStarted && v.DeletionTimestamp.IsZero() {
		return markFailed(s, p.Reason, fmt.Sprintf(
			"%s. It is left as it is; spec.rollBack: true undoes it: kubectl patch volumerestore -n %s %s --type=merge -p '{\"spec\":{\"rollBack\":true}}'",
			p.Message, s.Object.Namespace, s.Object.Name))
	}
	return rollBack(s, p.Reason, p.Message)
}

// rollBack writes down that the restore is undone from here.
func rollBack(s *scope, reason, message string) reconcile.Outcome {
	v := s.Object
	v.Status.RollBack = &v1alpha1.RollBackStatus{Reason: reason, Message: reconcile.Shorten(message), StartedAt: *microTime(s.Now())}
	v.Status.Step, v.Status.Stops = "", 0
	s.Remove(v1alpha1.ConditionStalled)
	s.Set(v1alpha1.ConditionRolledBack, false, v1alpha1.ReasonRollingBack, "%s", message)
	what := "goes back to the previous volumes: " + message
	if v.Status.ScaledDownAt == nil {
		what = "removes what was made, nothing was stopped: " + message
	}
	s.Working(v1alpha1.ReasonRollingBack, "%s", what)
	if v.Status.Strategy != v1alpha1.StrategyClaimsOnly {
		s.RecordOnceSaved(eventRollingBack(what))
	}
	return reconcile.Continue()
}

// tellFailed says that going back takes too long and needs a person. It goes on
// all the same: what is waited for may come about yet.
func tellFailed(s *scope, p *v1alpha1.Problem) {
	message := p.Message + ". Once that is mended it goes on by itself. " + byHandBack(s.Object)
	if !isToldFailed(s.Object) {
		s.RecordOnceSaved(eventRestoreFailed(message))
	}
	s.Set(v1alpha1.ConditionRolledBack, false, v1alpha1.ReasonRollBackFailed, "%s", p.Message)
	s.Set(v1alpha1.ConditionFailed, true, v1alpha1.ReasonRollBackFailed, "%s", message)
	s.Set(v1alpha1.ConditionStalled, true, v1alpha1.ReasonRollBackFailed, "%s", message)
	s.Working(v1alpha1.ReasonRollBackFailed, "%s", p.Message)
}

// isToldFailed is true where a person was told that going back needs them, and
// it still goes on.
func isToldFailed(v *v1alpha1.VolumeRestore) bool {
	back := condition(v, v1alpha1.ConditionRolledBack)
	return back != nil && back.Reason == v1alpha1.ReasonRollBackFailed && !restore.Ended(v)
}

// forgetFailure takes back what tellFailed said: it went on.
func forgetFailure(s *scope) {
	if !isToldFailed(s.Object) {
		return
	}
	rb := s.Object.Status.RollBack
	s.Remove(v1alpha1.ConditionStalled)
	s.Remove(v1alpha1.ConditionFailed)
	s.Set(v1alpha1.ConditionRolledBack, false, v1alpha1.ReasonRollingBack, "%s", rb.Message)
}

// isTakenOver is true where a person who was told that going back needs them has
// started the application: it isn't stopped again.
func isTakenOver(v *v1alpha1.VolumeRestore, state *restore.State) bool {
	isWaiting := v.Status.Step == string(restore.StepAwaitPodsGone) || v.Status.Step == string(restore.StepSwapBack)
	return isToldFailed(v) && isWaiting && state.Workload != nil && state.Workload.Replicas > 0
}

func markTakenOver(s *scope) reconcile.Outcome {
	back := condition(s.Object, v1alpha1.ConditionRolledBack)
	return markFailed(s, v1alpha1.ReasonRollBackFailed, "somebody has started the application, which is left as it is from here: "+back.Message)
}

// orCallOff is what a step came to; but where it can't be taken and the
// application still has what it ran on before, going back is called off.
func (w *run) orCallOff(state *restore.State, out reconcile.Outcome) reconcile.Outcome {
	p := out.Problem()
	if p == nil || !restore.MayCallOff(state) {
		return out
	}
	w.Object.Status.RollBack.CalledOff = &v1alpha1.CalledOff{Reason: p.Reason, Message: reconcile.Shorten(p.Message)}
	return reconcile.Continue()
}

// callOff leaves a restore on its restored volumes whose undoing can't go on: one
// that is complete as it was, any other as one that has failed.
func callOff(s *scope, p *v1alpha1.Problem) reconcile.Outcome {
	if !s.Is(v1alpha1.ConditionComplete) {
		s.Set(v1alpha1.ConditionRolledBack, false, v1alpha1.ReasonRollBackFailed, "%s", p.Message)
		return markFailed(s, v1alpha1.ReasonRollBackFailed, fmt.Sprintf("%s; it could not be undone: %s. The application was started again on its restored volumes. %s. To have it undone once that is mended: spec.rollBack: false, then true",
			s.Object.Status.RollBack.Message, p.Message, byHandBack(s.Object)))
	}
	s.Object.Status.RollBack, s.Object.Status.Step = nil, string(restore.StepEnd)
	s.Set(v1alpha1.ConditionSwapped, true, v1alpha1.ReasonSwapped, "%d claim(s) lead to their restored volumes", len(s.Object.Status.Claims))
	refuse(s, v1alpha1.Problemf(p.Reason, "%s. The application has its restored volumes, as before; ask again then (spec.rollBack: false, then true)", p.Message))
	return reconcile.Done()
}

// byHandBack is what a person does where going back failed.
func byHandBack(v *v1alpha1.VolumeRestore) string {
	if v.Status.ScaledDownAt == nil {
		return fmt.Sprintf("Nothing was stopped. What it made and could not remove: kubectl get pvc,pv -A -l %s=%s", v1alpha1.LabelRestoreUID, v.UID)
	}
	var volumes, restored []string
	for _, c := range v.Status.Claims {
		if restored = append(restored, c.RestoredVolume); c.PreviousVolume != "" {
			volumes = append(volumes, fmt.Sprintf("%s (claim %s)", c.PreviousVolume, c.PreviousClaim))
		}
	}
	had := ptr.Deref(v.Status.Replicas, 0)
	return fmt.Sprintf("The previous volumes are kept where nobody has deleted them: %s; the restored ones are %s. The application had %d replica(s): kubectl scale -n %s %s/%s --replicas=%d. docs/restore.md says how to go back by hand",
		strings.Join(volumes, ", "), strings.Join(restored, ", "), had, v.Namespace, strings.ToLower(string(v.Status.Application.Kind)), v.Status.Application.Name, had)
}

package restore

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/restore"
)

// summarize derives from the conditions what is for people and for tools that
// know nothing of restores. It is the one place that sets the phase.
func summarize(s *scope) {
	v := s.Object
	v.Status.ObservedGeneration = v.Generation
	v.Status.Phase = phaseOf(v)
	if restore.Ended(v) && !restore.IsRollBackAsked(v) && !restore.IsReleaseAsked(v) && v.DeletionTimestamp.IsZero() {
		s.AtRest(string(v.Status.Phase))
	}
	v.Status.Message = reconcile.FirstMessage(v.Status.Conditions, v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling, v1alpha1.ConditionPreviousReleased,
		v1alpha1.ConditionRolledBack, v1alpha1.ConditionFailed, v1alpha1.ConditionComplete)
}

func phaseOf(v *v1alpha1.VolumeRestore) v1alpha1.RestorePhase {
	hasEnded := restore.Ended(v)
	switch {
	case hasEnded && !v.DeletionTimestamp.IsZero():
		return v1alpha1.RestoreDeleting
	case isTrue(v, v1alpha1.ConditionRolledBack):
		return v1alpha1.RestoreRolledBack
	case isToldFailed(v):
		return v1alpha1.RestoreFailed
	case v.Status.RollBack != nil && !hasEnded:
		return v1alpha1.RestoreRollingBack
	case isTrue(v, v1alpha1.ConditionFailed):
		return v1alpha1.RestoreFailed
	case isTrue(v, v1alpha1.ConditionComplete):
		return v1alpha1.RestoreCompleted
	case v.Status.Step == "":
		return v1alpha1.RestorePending
	}
	return phaseOfStep(v)
}

// phaseOfStep is the phase of the step that is being taken.
func phaseOfStep(v *v1alpha1.VolumeRestore) v1alpha1.RestorePhase {
	for _, step := range restore.Plan(&restore.State{Restore: v}) {
		if string(step.Name) == v.Status.Step && step.Name != restore.StepEnd {
			return step.Phase
		}
	}
	return v1alpha1.RestorePreparing
}

// markFailed ends a restore where it is. Whoever reads the message needs no log.
func markFailed(s *scope, reason, message string) reconcile.Outcome {
	s.MarkFailed(reason, message)
	markEnded(s, v1alpha1.RestoreFailed, eventRestoreFailed(message))
	return reconcile.Done()
}

// markComplete ends a restore well; but is what is wrong all the same.
func markComplete(s *scope, state *restore.State, but string) reconcile.Outcome {
	message := completeMessage(state) + but
	s.MarkComplete(message)
	markEnded(s, v1alpha1.RestoreCompleted, eventRestored(message))
	return reconcile.Done()
}

// markRolledBack ends the undoing of a restore. One that was complete stays so;
// one that wasn't has failed. One that only made claims has just failed: there
// was no application to bring back.
func markRolledBack(s *scope, state *restore.State) reconcile.Outcome {
	v := s.Object
	rb := v.Status.RollBack
	if v.Status.Strategy == v1alpha1.StrategyClaimsOnly {
		v.Status.RollBack = nil
		s.Remove(v1alpha1.ConditionRolledBack)
		return markFailed(s, rb.Reason, rb.Message)
	}
	why := rb.Message
	message := "the application runs on its previous volumes: " + why
	switch {
	case v.Status.ScaledDownAt == nil:
		why = "nothing was stopped: " + why
		message = why
	case state.Workload == nil:
		message = "the application is gone, its previous claims and volumes are as they were: " + why
	case restore.LeadsElsewhere(state) != "":
		message = fmt.Sprintf("the application was brought back to its previous volumes, and somebody has led it elsewhere since (%s): %s", restore.LeadsElsewhere(state), why)
	}
	s.MarkEnded(v1alpha1.ConditionRolledBack, v1alpha1.ReasonRolledBack, message)
	if v.Status.ScaledDownAt != nil {
		s.Set(v1alpha1.ConditionSwapped, false, v1alpha1.ReasonRolledBack, "the claims lead to their previous volumes")
	}
	markEnded(s, v1alpha1.RestoreRolledBack, eventRolledBack(message))
	if !s.Is(v1alpha1.ConditionComplete) {
		s.Set(v1alpha1.ConditionFailed, true, rb.Reason, "%s", why)
		s.Set(v1alpha1.ConditionComplete, false, rb.Reason, "%s", why)
		s.RecordOnceSaved(eventRestoreFailed(why))
	}
	s.Remove(v1alpha1.ConditionStalled)
	return reconcile.Done()
}

// markEnded notes the end of a restore, or of its undoing.
func markEnded(s *scope, result v1alpha1.RestorePhase, event reconcile.Event) {
	status, now := &s.Object.Status, s.Now()
	if status.CompletionTime == nil {
		status.CompletionTime = &metav1.Time{Time: now}
	}
	if status.RollBack != nil {
		status.RollBack.EndedAt = microTime(now)
	}
	status.Step = string(restore.StepEnd)
	strategy := string(status.Strategy)
	s.OnceSaved(func() { restoresTotal.WithLabelValues(string(result), strategy).Inc() })
	s.RecordOnceSaved(event)
}

func completeMessage(state *restore.State) string {
	v := state.Restore
	what := fmt.Sprintf("%d claim(s) from %s by %s (%s)", len(v.Status.Claims), restore.SourceOf(v), v.Status.Strategy, v.Status.StrategyReason)
	if restore.IsIntoFolder(v) {
		return what + ": " + restore.Outcome(v)
	}
	if v.Status.Strategy == v1alpha1.StrategyClaimsOnly {
		return what
	}
	if v.Status.Downtime != nil {
		what += fmt.Sprintf(", down for %s", v.Status.Downtime.Round(time.Millisecond))
	}
	switch {
	case !restore.HadPrevious(v):
		return what + "; there were no previous volumes, so there is nothing to go back to"
	case v.Spec.PreviousClaims == v1alpha1.PreviousDelete:
		return what + "; the previous claims are let go" + butMounted(state)
	}
	if lost := restore.PreviousLost(state); lost != "" {
		return what + "; there is no way back: " + lost
	}
	return what + fmt.Sprintf("; the previous volumes are kept (kubectl get pv -l %s=%s), and spec.rollBack: true brings them back", v1alpha1.LabelRestoreUID, v.UID)
}

// butMounted are the previous claims that aren't let go.
func butMounted(state *restore.State) string {
	kept := ""
	for i := range state.Restore.Status.Claims {
		c := &state.Restore.Status.Claims[i]
		if by := restore.StillMounted(state, c); by != "" {
			kept += fmt.Sprintf(", but %s is kept, which %s mounts", c.PreviousClaim, by)
		}
	}
	return kept
}

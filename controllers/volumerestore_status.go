package controllers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// restoreScope is one restore in one reconcile: the object, and what of it is
// written already.
type restoreScope struct {
	*v1alpha1.VolumeRestore
	written *v1alpha1.VolumeRestore
	// stop is nil until the application is seen stopped.
	stop *stoppedApplication
	// repointed is true once the pod template was changed in this reconcile.
	repointed bool
}

func newRestoreScope(v *v1alpha1.VolumeRestore) *restoreScope {
	return &restoreScope{VolumeRestore: v, written: v.DeepCopy()}
}

// save writes the status where it has changed, unless anybody has written the
// object since it was read: of two managers only one can go on.
func (r *VolumeRestoreReconciler) save(ctx context.Context, s *restoreScope) error {
	s.summarize(r.Clock)
	if equality.Semantic.DeepEqual(s.Status, s.written.Status) {
		return nil
	}
	patch := client.MergeFromWithOptions(s.written, client.MergeFromWithOptimisticLock{})
	if err := r.Status().Patch(ctx, s.VolumeRestore, patch); err != nil {
		return err
	}
	s.written = s.DeepCopy()
	return nil
}

func (s *restoreScope) set(now clock.PassiveClock, kind string, status bool, reason, format string, args ...any) {
	value := metav1.ConditionFalse
	if status {
		value = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&s.Status.Conditions, metav1.Condition{
		Type: kind, Status: value, Reason: reason, Message: shortened(fmt.Sprintf(format, args...), maxMessage),
		ObservedGeneration: s.Generation, LastTransitionTime: metav1.NewTime(now.Now()),
	})
}

func (s *restoreScope) is(kind string) bool {
	return meta.IsStatusConditionTrue(s.Status.Conditions, kind)
}

// working says what is being done or waited for.
func (s *restoreScope) working(now clock.PassiveClock, reason, format string, args ...any) {
	s.set(now, v1alpha1.ConditionReconciling, true, reason, format, args...)
}

// summarize derives from the conditions what is for people and for tools that
// know nothing of restores. It is the one place that sets the phase.
func (s *restoreScope) summarize(now clock.PassiveClock) {
	s.Status.ObservedGeneration = s.Generation
	s.Status.Phase = restorePhase(s)
	if snapshot.RestoreEnded(s.VolumeRestore) && !asked(s.VolumeRestore) && s.DeletionTimestamp.IsZero() {
		s.set(now, v1alpha1.ConditionReconciling, false, string(s.Status.Phase), "")
	}
	s.Status.Message = restoreMessage(s)
}

func restorePhase(s *restoreScope) v1alpha1.RestorePhase {
	ended := snapshot.RestoreEnded(s.VolumeRestore)
	switch {
	case ended && !s.DeletionTimestamp.IsZero():
		return v1alpha1.RestoreDeleting
	case s.is(v1alpha1.ConditionRolledBack):
		return v1alpha1.RestoreRolledBack
	case s.Status.RollBack != nil && !ended:
		return v1alpha1.RestoreRollingBack
	case s.is(v1alpha1.ConditionFailed):
		return v1alpha1.RestoreFailed
	case s.is(v1alpha1.ConditionComplete):
		return v1alpha1.RestoreCompleted
	case s.Status.Step == "":
		return v1alpha1.RestorePending
	}
	return stepPhase(s)
}

// stepPhase is the phase of the step that is being taken.
func stepPhase(s *restoreScope) v1alpha1.RestorePhase {
	for _, step := range snapshot.PlanRestore(s.VolumeRestore, snapshot.RestoreObserved{}) {
		if string(step.Step) == s.Status.Step && step.Step != snapshot.StepFinish {
			return step.Phase
		}
	}
	return v1alpha1.RestorePreparing
}

// restoreMessage is the message of the condition that matters most.
func restoreMessage(s *restoreScope) string {
	order := []string{v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling, v1alpha1.ConditionRolledBack, v1alpha1.ConditionFailed, v1alpha1.ConditionComplete}
	for _, kind := range order {
		if c := meta.FindStatusCondition(s.Status.Conditions, kind); c != nil && c.Status == metav1.ConditionTrue {
			return c.Message
		}
	}
	return ""
}

// fail ends a restore where it is. Whoever reads the message needs no log.
func (r *VolumeRestoreReconciler) fail(ctx context.Context, s *restoreScope, reason, message string) outcome {
	s.set(r.Clock, v1alpha1.ConditionFailed, true, reason, "%s", message)
	s.set(r.Clock, v1alpha1.ConditionComplete, false, reason, "%s", message)
	s.set(r.Clock, v1alpha1.ConditionStalled, true, reason, "%s", message)
	r.end(s)
	if err := r.save(ctx, s); err != nil {
		return again(err)
	}
	restoresTotal.WithLabelValues(string(v1alpha1.RestoreFailed), string(s.Status.Strategy)).Inc()
	record(r.Events, s.VolumeRestore, eventRestoreFailed(message))
	return rest()
}

// complete ends a restore well; but is what is wrong all the same.
func (r *VolumeRestoreReconciler) complete(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved, but string) outcome {
	message := restoredMessage(s.VolumeRestore, o) + but
	s.set(r.Clock, v1alpha1.ConditionComplete, true, v1alpha1.ReasonCompleted, "%s", message)
	meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionStalled)
	r.end(s)
	if err := r.save(ctx, s); err != nil {
		return again(err)
	}
	restoresTotal.WithLabelValues(string(v1alpha1.RestoreCompleted), string(s.Status.Strategy)).Inc()
	record(r.Events, s.VolumeRestore, eventRestored(message))
	return rest()
}

func (r *VolumeRestoreReconciler) end(s *restoreScope) {
	now := r.Clock.Now()
	if s.Status.CompletionTime == nil {
		s.Status.CompletionTime = &metav1.Time{Time: now}
	}
	if s.Status.RollBack != nil {
		s.Status.RollBack.EndedAt = microTime(now)
	}
	s.Status.Step = string(snapshot.StepFinish)
}

func restoredMessage(v *v1alpha1.VolumeRestore, o snapshot.RestoreObserved) string {
	what := fmt.Sprintf("%d claim(s) from VolumeBackup %s by %s (%s)", len(v.Status.Claims), v.Status.Source, v.Status.Strategy, v.Status.StrategyReason)
	if v.Status.Strategy == v1alpha1.StrategyClaimsOnly {
		return what
	}
	if v.Status.Downtime != nil {
		what += fmt.Sprintf(", down for %s", v.Status.Downtime.Round(time.Millisecond))
	}
	if !slices.ContainsFunc(v.Status.Claims, func(c v1alpha1.RestoredClaim) bool { return c.PreviousVolume != "" }) {
		return what + "; there were no previous volumes, so there is nothing to go back to"
	}
	if v.Spec.PreviousClaims == v1alpha1.PreviousDelete {
		return what + "; the previous claims are let go" + butMounted(v, o)
	}
	return what + fmt.Sprintf("; the previous volumes are kept (kubectl get pv -l %s=%s), and spec.rollBack: true brings them back", v1alpha1.LabelRestoreUID, v.UID)
}

// butMounted are the previous claims that aren't let go.
func butMounted(v *v1alpha1.VolumeRestore, o snapshot.RestoreObserved) string {
	kept := ""
	for i := range v.Status.Claims {
		c := &v.Status.Claims[i]
		if by := snapshot.StillMounted(v, c, o); by != "" {
			kept += fmt.Sprintf(", but %s is kept, which %s mounts", c.PreviousClaim, by)
		}
	}
	return kept
}

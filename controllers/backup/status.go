package backup

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
)

// summarize derives from the conditions what is for people and for tools that
// know nothing of backups. It is the one place that sets the phase.
func summarize(s *reconcile.Scope[*v1alpha1.VolumeBackup]) {
	b := s.Object
	b.Status.ObservedGeneration = b.Generation
	b.Status.Phase = phaseOf(b)
	b.Status.Snapshots = readyOfAll(b)
	b.Status.Exported = exportedOfAll(b)
	b.Status.Message = messageOf(b)
	if cut.Ended(b) && b.DeletionTimestamp.IsZero() {
		s.AtRest(string(b.Status.Phase))
	}
}

func phaseOf(b *v1alpha1.VolumeBackup) v1alpha1.Phase {
	q := b.Status.Quiesce
	switch {
	case !b.DeletionTimestamp.IsZero():
		return v1alpha1.PhaseDeleting
	case meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionComplete):
		return v1alpha1.PhaseCompleted
	case meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionFailed):
		return v1alpha1.PhaseFailed
	case cut.Open(q) && cut.Freezes(q.Method):
		return v1alpha1.PhaseQuiescing
	case cut.Next(b, v1alpha1.OnFailureFail) == cut.StepExport:
		return v1alpha1.PhaseExporting
	case cut.Open(q), b.Status.Consistency != "":
		return v1alpha1.PhaseSnapshotting
	}
	return v1alpha1.PhasePending
}

func readyOfAll(b *v1alpha1.VolumeBackup) string {
	if len(b.Status.Volumes) == 0 {
		return ""
	}
	ready := 0
	for _, v := range b.Status.Volumes {
		if v.ReadyToUse {
			ready++
		}
	}
	return fmt.Sprintf("%d/%d", ready, len(b.Status.Volumes))
}

func exportedOfAll(b *v1alpha1.VolumeBackup) string {
	if b.Spec.Export == nil || len(b.Status.Volumes) == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", exportedCount(b), len(b.Status.Volumes))
}

func exportedCount(b *v1alpha1.VolumeBackup) (exported int) {
	for _, v := range b.Status.Volumes {
		if v.Export != nil && v.Export.SnapshotID != "" {
			exported++
		}
	}
	return exported
}

// messageOf is the message of the condition that matters most.
func messageOf(b *v1alpha1.VolumeBackup) string {
	if !b.DeletionTimestamp.IsZero() {
		return reconcile.FirstMessage(b.Status.Conditions, v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling)
	}
	if b.HasLostSnapshots() {
		return meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionSnapshotsReady).Message
	}
	return reconcile.FirstMessage(b.Status.Conditions,
		v1alpha1.ConditionFailed, v1alpha1.ConditionComplete, v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling)
}

func (w *run) markStarted() {
	now := metav1.NewTime(w.Now())
	w.Status.StartTime = &now
	w.Working(v1alpha1.ReasonPreparing, "looks for the application, its volumes and its hooks")
}

// fail ends the backup.
func (w *run) fail(reason, message string) reconcile.Outcome {
	w.MarkFailed(reason, message)
	w.end(v1alpha1.PhaseFailed)
	w.RecordOnceSaved(eventFailed(message))
	return reconcile.Done()
}

// complete ends the backup well.
func (w *run) complete() reconcile.Outcome {
	message := completeMessage(w.VolumeBackup)
	w.MarkComplete(message)
	w.end(v1alpha1.PhaseCompleted)
	if w.Spec.Export == nil {
		w.RecordOnceSaved(eventReady(len(w.Status.Volumes)))
	}
	w.RecordOnceSaved(eventCompleted(message))
	return reconcile.Done()
}

func (w *run) end(result v1alpha1.Phase) {
	now := metav1.NewTime(w.Now())
	w.Status.CompletionTime = &now
	consistency := string(w.Status.Consistency)
	w.OnceSaved(func() { backupsTotal.WithLabelValues(string(result), consistency).Inc() })
}

func completeMessage(b *v1alpha1.VolumeBackup) string {
	what := fmt.Sprintf("%d volume(s), %s", len(b.Status.Volumes), b.Status.Consistency)
	if q := b.Status.Quiesce; q.FrozenFor != nil {
		what += fmt.Sprintf(", frozen for %s", q.FrozenFor.Round(time.Millisecond))
	}
	if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionFrozen); c != nil && b.Status.Consistency != v1alpha1.Proven {
		what += ": " + c.Message
	}
	if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionThawed); c != nil && b.Status.Unthawed != nil {
		what = andSay(what, c.Message)
	}
	if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionSnapshotsReady); cut.IsOnlyExported(b) {
		what = andSay(what, c.Message)
	}
	for _, warning := range b.Status.Warnings {
		what = andSay(what, warning)
	}
	return what
}

// andSay adds what isn't said yet.
func andSay(said, more string) string {
	if strings.Contains(said, more) {
		return said
	}
	return said + "; " + more
}

// attemptOf names the newest attempt. Those that may go without quiet come
// after all that were asked for.
func attemptOf(b *v1alpha1.VolumeBackup) string {
	n, of := b.Status.Quiesce.Attempt, b.Spec.Attempts
	if n > of || b.Status.Unthawed != nil {
		return fmt.Sprintf("attempt %d, without quiet", n)
	}
	return fmt.Sprintf("attempt %d of %d", n, of)
}

// markFailedAttempt marks the newest attempt as failed. Its snapshots are
// orphans from now on.
func markFailedAttempt(b *v1alpha1.VolumeBackup, why string, now time.Time) {
	q := b.Status.Quiesce
	q.Failure = reconcile.Shorten(why)
	for i := range b.Status.Volumes {
		v := &b.Status.Volumes[i]
		*v = v1alpha1.VolumeStatus{ClaimName: v.ClaimName, VolumeName: v.VolumeName, Driver: v.Driver, VolumeSnapshotClassName: v.VolumeSnapshotClassName, Claim: v.Claim}
	}
	reconcile.SetCondition(b, now, v1alpha1.ConditionFrozen, false, v1alpha1.ReasonQuiesceFailed, "%s", why)
	reconcile.SetCondition(b, now, v1alpha1.ConditionSnapshotsCut, false, v1alpha1.ReasonNotCut, "%s", why)
	if !cut.Open(q) && b.Status.Unthawed == nil {
		reconcile.SetCondition(b, now, v1alpha1.ConditionThawed, true, v1alpha1.ReasonThawed, "%s", thawedMessage(q))
	}
	reconcile.SetCondition(b, now, v1alpha1.ConditionReconciling, true, v1alpha1.ReasonRetrying, "%s failed: %s", attemptOf(b), why)
}

// thawedMessage says what is known of an application once all that thaws it has
// run: after a pre-hook that has no post-hook, nothing.
func thawedMessage(q *v1alpha1.QuiesceStatus) string {
	hasNoPost := func(p v1alpha1.QuiescedPod) bool { return len(p.Post) == 0 }
	if q.Method == v1alpha1.MethodHooks && slices.ContainsFunc(q.Pods, hasNoPost) {
		return "no command is left to thaw it: not every pod has a post-hook"
	}
	return "the application goes on"
}

// markMayBeFrozen says in the conditions that an application may still be
// frozen, and what to do.
func markMayBeFrozen(b *v1alpha1.VolumeBackup, why error, now time.Time) (message string) {
	// The command first: an event has room for a kilobyte.
	message = fmt.Sprintf("the application may still be frozen. Thaw it by hand: %s. The cause: %v", commandByHand(b, mayBeFrozen(b), why), why)
	reconcile.SetCondition(b, now, v1alpha1.ConditionThawed, false, v1alpha1.ReasonThawFailed, "%s", message)
	reconcile.SetCondition(b, now, v1alpha1.ConditionStalled, true, v1alpha1.ReasonThawFailed, "%s", message)
	return message
}

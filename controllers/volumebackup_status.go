package controllers

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// backupScope is one backup in one reconcile: the object, and what of it is
// written already.
type backupScope struct {
	*v1alpha1.VolumeBackup
	written *v1alpha1.VolumeBackup
	// lookAgain is when this reconcile wants to be followed by another at the
	// latest, 0 where that depends on the step alone.
	lookAgain time.Duration
}

func newBackupScope(b *v1alpha1.VolumeBackup) *backupScope {
	return &backupScope{VolumeBackup: b, written: b.DeepCopy()}
}

// save writes the status where it has changed. The write fails with a conflict
// where anybody has written the object since it was read: of two managers only
// one can go on.
func (r *VolumeBackupReconciler) save(ctx context.Context, s *backupScope) error {
	summarize(s.VolumeBackup)
	if equality.Semantic.DeepEqual(s.Status, s.written.Status) {
		return nil
	}
	patch := client.MergeFromWithOptions(s.written, client.MergeFromWithOptimisticLock{})
	if err := r.Status().Patch(ctx, s.VolumeBackup, patch); err != nil {
		return err
	}
	s.written = s.DeepCopy()
	return nil
}

func setCondition(b *v1alpha1.VolumeBackup, kind string, status bool, reason, format string, args ...any) {
	value := metav1.ConditionFalse
	if status {
		value = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&b.Status.Conditions, metav1.Condition{
		Type: kind, Status: value, Reason: reason, Message: shortened(fmt.Sprintf(format, args...), maxMessage), ObservedGeneration: b.Generation,
	})
}

func isTrue(b *v1alpha1.VolumeBackup, kind string) bool {
	return meta.IsStatusConditionTrue(b.Status.Conditions, kind)
}

// summarize derives from the conditions what is for people and for tools that
// know nothing of backups. It is the one place that sets the phase.
func summarize(b *v1alpha1.VolumeBackup) {
	b.Status.ObservedGeneration = b.Generation
	b.Status.Phase = phaseOf(b)
	b.Status.Snapshots = readyOfAll(b)
	b.Status.Message = messageOf(b)
	if !snapshot.Ended(b) || !b.DeletionTimestamp.IsZero() {
		return
	}
	setCondition(b, v1alpha1.ConditionReconciling, false, string(b.Status.Phase), "")
}

func phaseOf(b *v1alpha1.VolumeBackup) v1alpha1.Phase {
	q := b.Status.Quiesce
	switch {
	case !b.DeletionTimestamp.IsZero():
		return v1alpha1.PhaseDeleting
	case isTrue(b, v1alpha1.ConditionComplete):
		return v1alpha1.PhaseCompleted
	case isTrue(b, v1alpha1.ConditionFailed):
		return v1alpha1.PhaseFailed
	case snapshot.Open(q) && snapshot.Freezes(q.Method):
		return v1alpha1.PhaseQuiescing
	case snapshot.Open(q), b.Status.Consistency != "":
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

// messageOf is the message of the condition that matters most.
func messageOf(b *v1alpha1.VolumeBackup) string {
	order := []string{v1alpha1.ConditionFailed, v1alpha1.ConditionComplete, v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling}
	if !b.DeletionTimestamp.IsZero() {
		order = []string{v1alpha1.ConditionStalled, v1alpha1.ConditionReconciling}
	}
	for _, kind := range order {
		if c := meta.FindStatusCondition(b.Status.Conditions, kind); c != nil && c.Status == metav1.ConditionTrue {
			return c.Message
		}
	}
	return ""
}

// working says what is being done or waited for.
func working(b *v1alpha1.VolumeBackup, reason, format string, args ...any) {
	setCondition(b, v1alpha1.ConditionReconciling, true, reason, format, args...)
}

// fail ends a backup. Whoever reads the message needs no log.
func (r *VolumeBackupReconciler) fail(ctx context.Context, s *backupScope, reason, message string) outcome {
	setCondition(s.VolumeBackup, v1alpha1.ConditionFailed, true, reason, "%s", message)
	setCondition(s.VolumeBackup, v1alpha1.ConditionComplete, false, reason, "%s", message)
	setCondition(s.VolumeBackup, v1alpha1.ConditionStalled, true, reason, "%s", message)
	r.end(s)
	if err := r.save(ctx, s); err != nil {
		return again(err)
	}
	backupsTotal.WithLabelValues(string(v1alpha1.PhaseFailed), string(s.Status.Consistency)).Inc()
	record(r.Events, s.VolumeBackup, eventFailed(message))
	return rest()
}

// complete ends a backup well.
func (r *VolumeBackupReconciler) complete(ctx context.Context, s *backupScope) outcome {
	message := completeMessage(s.VolumeBackup)
	setCondition(s.VolumeBackup, v1alpha1.ConditionComplete, true, v1alpha1.ReasonCompleted, "%s", message)
	meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionStalled)
	r.end(s)
	if err := r.save(ctx, s); err != nil {
		return again(err)
	}
	backupsTotal.WithLabelValues(string(v1alpha1.PhaseCompleted), string(s.Status.Consistency)).Inc()
	successes.note(s.Namespace, s.Status.CompletionTime)
	record(r.Events, s.VolumeBackup, eventReady(len(s.Status.Volumes)))
	record(r.Events, s.VolumeBackup, eventCompleted(message))
	return rest()
}

func (r *VolumeBackupReconciler) end(s *backupScope) {
	now := metav1.NewTime(r.Clock.Now())
	s.Status.CompletionTime = &now
}

func completeMessage(b *v1alpha1.VolumeBackup) string {
	what := fmt.Sprintf("%d volume(s), %s", len(b.Status.Volumes), b.Status.Consistency)
	q := b.Status.Quiesce
	if q.FrozenFor != nil {
		what += fmt.Sprintf(", frozen for %s", q.FrozenFor.Round(time.Millisecond))
	}
	if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionFrozen); c != nil && b.Status.Consistency == v1alpha1.Crash {
		what += ": " + c.Message
	}
	return what
}

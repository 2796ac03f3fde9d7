package backup

import (
	"cmp"
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
)

const (
	// maxThawAttempts and maxThawDelay bound the post-hooks that are run again
	// and again: about a minute and a half, beside the time that they take.
	maxThawAttempts = 12
	maxThawDelay    = 10 * time.Second
)

// recover ends an attempt whose end isn't written: its manager died, or a
// post-hook failed. It thaws before anything else, and counts the attempt as
// failed: what was cut in it is proven by nobody.
func (w *run) recover(ctx context.Context) reconcile.Outcome {
	if !isUnfinished(w.VolumeBackup) {
		return reconcile.Skip()
	}
	q := w.Status.Quiesce
	// What is written of a round brings the backup here again at once.
	if early := untilNextThaw(q, w.Now()); early > 0 {
		return reconcile.Wait(early)
	}
	release, ok := w.thaws.take(w.VolumeBackup)
	if !ok {
		return reconcile.Done().Unsaved()
	}
	defer release()
	interrupted, last := q.Failure == "", cmp.Or(q.ThawTriedAt, &q.StartedAt).Time
	// Written first: whoever began the attempt, and was only held up, can't
	// call it good any more once a post-hook has run.
	q.ThawAttempts++
	q.ThawTriedAt = microTime(w.Now())
	if err := w.Save(ctx); err != nil && !reconcile.IsTooLarge(err) { // where there is no room it is thawed all the same
		return reconcile.Retry(err)
	}
	err := w.thawPods(ctx, w.Status.Quiesce)
	q = w.Status.Quiesce // what was read back has taken its place
	now := metav1.NewMicroTime(w.Now())
	if q.Deadline != nil && !last.After(q.Deadline.Time) && now.After(q.Deadline.Time) {
		thawOverdue.Inc() // once: in the round that the deadline lies in
	}
	if err != nil {
		return w.notThawed(err)
	}
	q.ThawedAt = &now
	if q.FrozenAt != nil {
		q.FrozenFor = &metav1.Duration{Duration: max(0, now.Sub(q.FrozenAt.Time)).Round(time.Millisecond)}
		frozenSeconds.Observe(q.FrozenFor.Seconds())
	}
	w.limiter.noteFreeze(podsOf(q), cut.HeldUntil(q), w.Now())
	w.Remove(v1alpha1.ConditionStalled)
	why := q.Failure
	if interrupted {
		why = "the attempt was interrupted, its manager was stopped or had to take it up again; " + thawedMessage(q)
	}
	markFailedAttempt(w.VolumeBackup, why, w.Now())
	if len(q.Pods) > 0 {
		w.RecordOnceSaved(eventRecoveredThaw(len(q.Pods), interrupted))
	}
	err = w.Save(ctx)
	if reconcile.IsTooLarge(err) {
		q.Pods = nil // they are thawed, and nobody needs their commands any more
		err = w.Save(ctx)
	}
	return reconcile.Failed(err)
}

// unwrittenThawDelay is how soon it is thawed again where nothing can be written of an
// attempt, as somebody has filled the object meanwhile.
const unwrittenThawDelay = time.Minute

// isUnfinished is true for a backup with an attempt whose end isn't written. What was
// put back speaks of an earlier life.
func isUnfinished(b *v1alpha1.VolumeBackup) bool {
	return !cut.Ended(b) && cut.Open(b.Status.Quiesce) && v1alpha1.PutBackBy(b, b.Status.StartTime) == ""
}

// untilNextThaw is how long it is before the next round of post-hooks, at most
// maxThawDelay: the last may be of another machine, with another clock.
func untilNextThaw(q *v1alpha1.QuiesceStatus, now time.Time) time.Duration {
	if q.ThawTriedAt == nil {
		return 0
	}
	return cut.Left(q.ThawTriedAt.Time, min(cut.AttemptDelay(q.ThawAttempts), maxThawDelay), now)
}

// notThawed says which command thaws by hand, and tries again for a while. After
// that the backup fails, or goes on without quiet where its owner asked for that.
func (w *run) notThawed(err error) reconcile.Outcome {
	q := w.Status.Quiesce
	message := markMayBeFrozen(w.VolumeBackup, err, w.Now())
	w.Record(eventThawFailed(message))
	if q.ThawAttempts >= maxThawAttempts {
		if q.Deadline != nil && w.Now().Before(q.Deadline.Time) {
			thawOverdue.Inc() // nothing thaws it by then any more
		}
		if q.OnFailure == v1alpha1.OnFailureContinue {
			w.goOnUnthawed(message)
			return reconcile.Continue()
		}
		markFailedAttempt(w.VolumeBackup, message, w.Now())
		return reconcile.Stall(v1alpha1.Problemf(v1alpha1.ReasonThawFailed, "%s", message))
	}
	w.Working(v1alpha1.ReasonThawing, "%s", message)
	return reconcile.Wait(untilNextThaw(q, w.Now()))
}

// goOnUnthawed closes an attempt that can't be thawed, and keeps on record what
// may be frozen: the next attempt quiets nothing, and cuts a crash-consistent
// copy, of an application that is frozen too.
func (w *run) goOnUnthawed(message string) {
	q := w.Status.Quiesce
	w.Status.Unthawed = q.DeepCopy()
	q.ThawGivenUpAt = microTime(w.Now())
	markFailedAttempt(w.VolumeBackup, message, w.Now())
}

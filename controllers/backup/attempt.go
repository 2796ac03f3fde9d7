package backup

import (
	"context"
	"errors"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	clientretry "k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot/cut"
)

// attempt makes one attempt to quiet the application and cut its volumes:
//
//	acquire ─ plan ─ intent │ prepare ─ freeze ─ cut ─ thaw ─ look again │ evidence ─ status
//
// What stands between the bars holds live sessions. It is one call, bounded by
// the timeout of the plan, and whatever happens in it, it ends with the thaw.
func (w *run) attempt(ctx context.Context) reconcile.Outcome {
	next := w.next()
	if next != cut.StepAttempt && next != cut.StepAttemptUnquieted {
		return reconcile.Skip()
	}
	if early := untilNextAttempt(w.VolumeBackup, w.Now()); early > 0 {
		return reconcile.Wait(early)
	}
	var held held
	defer held.release()
	p, out := w.acquire(ctx, &held)
	if p == nil {
		return out
	}
	defer w.isUnderWay()()
	told := w.Status.Warnings
	cutter := w.intend(p)
	if err := w.Save(ctx); err != nil {
		return reconcile.Retry(err)
	}
	frozenNow.note(client.ObjectKeyFromObject(w.VolumeBackup), mayBeFrozen(w.VolumeBackup))
	for _, warning := range untold(p.allWarnings(), told) {
		w.Record(eventWarning(warning))
	}
	e := w.carryOut(ctx, p, cutter)
	conclude(w.VolumeBackup, p, e, w.Now())
	w.limiter.noteFreeze(p.pods(), cut.HeldUntil(w.Status.Quiesce), w.Now())
	w.tell(e)
	for _, warning := range untold(e.unwatched, told) {
		w.RecordOnceSaved(eventWarning(warning))
	}
	concluded := w.DeepCopy()
	err := w.saveOutcome(ctx)
	if apierrors.IsNotFound(err) || w.UID != concluded.UID {
		return w.discardOf(ctx, concluded)
	}
	return reconcile.Failed(err)
}

// untilNextAttempt is how long it is left alone after an attempt that failed.
func untilNextAttempt(b *v1alpha1.VolumeBackup, now time.Time) time.Duration {
	if b.Status.Quiesce == nil {
		return 0
	}
	return cut.Left(cut.EndOf(b.Status.Quiesce), cut.AttemptDelay(b.Status.Quiesce.Attempt), now)
}

// mayBegin is from when on an attempt can be made.
func mayBegin(b *v1alpha1.VolumeBackup) time.Time {
	if b.Status.Quiesce != nil {
		return cut.NextAttemptAt(b.Status.Quiesce)
	}
	if b.Status.StartTime == nil {
		return b.CreationTimestamp.Time // the cache is late
	}
	return b.Status.StartTime.Time
}

// intend writes into the status what is about to be done, so that whoever comes
// back after a crash can undo it.
func (w *run) intend(p *plan) cutter {
	q := &v1alpha1.QuiesceStatus{
		Method:    p.quiesce.Method,
		Attempt:   1,
		StartedAt: metav1.NewMicroTime(w.Now()),
		OnFailure: p.quiesce.OnFailure,
	}
	if w.Status.Quiesce != nil {
		q.Attempt = w.Status.Quiesce.Attempt + 1
	}
	if cut.Freezes(q.Method) {
		deadline := metav1.NewMicroTime(q.StartedAt.Add(p.quiesce.Timeout))
		q.Deadline = &deadline
	}
	q.Pods = intendedPods(p.quiesce.Targets)
	w.Status.Quiesce = q
	w.Status.ApplicationUID = p.application
	w.Status.Volumes = slices.Clone(p.volumes)
	w.Status.Warnings = nil
	for _, warning := range p.allWarnings() {
		w.Status.Warnings = append(w.Status.Warnings, warning.Message)
	}
	cutter := w.newCutter(p)
	w.Set(v1alpha1.ConditionFrozen, false, v1alpha1.ReasonQuiescing, "%s", attemptOf(w.VolumeBackup))
	w.Set(v1alpha1.ConditionSnapshotsCut, false, v1alpha1.ReasonNotCut, "%s", attemptOf(w.VolumeBackup))
	if w.Status.Unthawed == nil {
		w.Set(v1alpha1.ConditionThawed, !cut.Freezes(q.Method), v1alpha1.ReasonQuiescing, "%s", attemptOf(w.VolumeBackup))
	}
	w.Remove(v1alpha1.ConditionStalled)
	w.Working(v1alpha1.ReasonQuiescing, "%s: quiets %d pod(s) and cuts %d volume(s)", attemptOf(w.VolumeBackup), len(q.Pods), len(p.volumes))
	return cutter
}

func intendedPods(targets []hooks.Target) []v1alpha1.QuiescedPod {
	var pods []v1alpha1.QuiescedPod
	for _, t := range targets {
		pods = append(pods, intendedPod(t))
	}
	return pods
}

// intendedPod is what a later manager needs to know to thaw a target.
func intendedPod(t hooks.Target) v1alpha1.QuiescedPod {
	pod := v1alpha1.QuiescedPod{Name: t.Pod, UID: t.UID, Container: t.Container(), Post: slices.Clone(t.Post.Args)}
	if t.Post.Timeout > 0 {
		pod.PostTimeout = &metav1.Duration{Duration: t.Post.Timeout}
	}
	if t.Pre.Container != pod.Container {
		pod.PreContainer = t.Pre.Container
	}
	return pod
}

const (
	// thawLimit is how long held sessions may outlive the timeout, and what a
	// look for a pod that is to be thawed may take. A post-hook has a limit of
	// its own.
	thawLimit = 30 * time.Second
	// maxReserve and the quarter are what is kept of the timeout for the thaw,
	// so that it is over by the deadline and doesn't only begin there.
	maxReserve = 5 * time.Second
)

// carryOut freezes, cuts and thaws. It ends with the thaw also when the manager is
// told to stop.
func (w *run) carryOut(ctx context.Context, p *plan, c cutter) *evidence {
	e := nothingFrozen(p.quiesce.Targets)
	changed, stop := w.waiters.add(c.keys()...)
	defer stop()
	if e.err = c.prepare(ctx); e.err != nil {
		return e
	}
	left := w.timeLeft(p.quiesce.Timeout)
	reserve := min(maxReserve, p.quiesce.Timeout/4)
	if left <= reserve {
		e.err = errHeldUp
		return e
	}
	budget, cancel := context.WithTimeoutCause(ctx, left-reserve, errBudget)
	defer cancel()
	budget, forget := w.untilDeleted(budget)
	defer forget()
	life, end := context.WithTimeout(context.WithoutCancel(ctx), left+thawLimit)
	defer end()
	session, err := hooks.Begin(budget, life, w.Now().Add(left), w.Executor, w.Clock, p.marked(markOf(w.VolumeBackup, w.Status.Quiesce)))
	e.firstHeldAt, e.unwatched = session.FirstHeldAt(), session.Unwatched() // some of the pods may have been frozen all the same
	if e.err = err; err == nil {
		e.heldAt, e.elsewhere = session.HeldAt(), session.Elsewhere()
		e.err = w.cut(budget, c, changed, session.Lost(), e)
	}
	// The thaw has time of its own: the reconcile's may be over. Sessions and
	// post-hooks have their limits, each its own.
	e.thaw(session.End(context.WithoutCancel(ctx)))
	if e.err == nil {
		e.unchanged, e.doubt, e.err = w.lookAgain(context.WithoutCancel(ctx), p)
	}
	return e
}

// timeLeft is what is left of the timeout: the deadline in the intent stands,
// whenever the attempt comes to begin.
func (w *run) timeLeft(timeout time.Duration) time.Duration {
	if w.Status.Quiesce.Deadline == nil {
		return timeout
	}
	return min(timeout, w.Status.Quiesce.Deadline.Sub(w.Now()))
}

// saveOutcome writes the end of an attempt. Somebody may have touched the
// object meanwhile, with a label or by deleting it; the outcome still stands
// as long as the attempt in it is ours and open. The API may be away: then the
// next reconcile finds the attempt open and thaws again.
func (w *run) saveOutcome(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	uid, outcome := w.UID, w.Status.DeepCopy()
	backoff := wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Steps: 9, Cap: 5 * time.Second}
	mayPass := func(err error) bool {
		return !errors.Is(err, errNotOurs) && !apierrors.IsNotFound(err) && !reconcile.IsTooLarge(err)
	}
	return clientretry.OnError(backoff, mayPass, func() error {
		conflict := w.Save(ctx)
		if !apierrors.IsConflict(conflict) {
			return conflict
		}
		if err := w.Reread(ctx, w.Live); err != nil {
			return err
		}
		if w.UID != uid || !isSameAttempt(w.Status.Quiesce, outcome.Quiesce) {
			return errNotOurs
		}
		outcome.DeepCopyInto(&w.Status)
		return conflict
	})
}

// isSameAttempt is true where there is still the intent of this attempt, and
// nobody has begun to recover it.
func isSameAttempt(there, ours *v1alpha1.QuiesceStatus) bool {
	return cut.Open(there) && there.Attempt == ours.Attempt && there.StartedAt.Equal(&ours.StartedAt) && there.ThawAttempts == ours.ThawAttempts
}

// errNotOurs: another manager has taken the attempt over.
var errNotOurs = errors.New("another manager has ended this attempt")

// tell counts the attempt and records its events, once its end is written.
func (w *run) tell(e *evidence) {
	q := w.Status.Quiesce.DeepCopy()
	attempt, consistency := attemptOf(w.VolumeBackup), w.Status.Consistency
	frozenFor, thawed := e.frozenFor(), e.allThawed()
	w.OnceSaved(func() {
		if frozenFor > 0 && thawed {
			frozenSeconds.Observe(frozenFor.Seconds())
		}
		if thawed && q.Deadline != nil && q.ThawedAt.After(q.Deadline.Time) {
			thawOverdue.Inc() // where it isn't thawed, recover counts
		}
		w.Log("attempt ended", "attempt", q.Attempt, "method", q.Method, "consistency", consistency, "frozenFor", frozenFor.String(), "error", q.Failure)
	})
	if !e.heldAt.IsZero() && len(q.Pods) > 0 {
		w.RecordOnceSaved(eventFrozen(len(q.Pods)))
	}
	if !e.cutAt.IsZero() {
		w.RecordOnceSaved(eventCut(len(w.Status.Volumes)))
	}
	if thawed && frozenFor > 0 {
		w.RecordOnceSaved(eventThawed(frozenFor))
	}
	if q.Failure != "" {
		w.RecordOnceSaved(eventAttemptFailed(attempt, q.Failure))
	}
}

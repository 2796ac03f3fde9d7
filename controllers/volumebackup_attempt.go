package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	clientretry "k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot"
)

// attempt prepares, takes its place, and makes one attempt.
func (r *VolumeBackupReconciler) attempt(ctx context.Context, s *backupScope, unquieted bool) outcome {
	if q := s.Status.Quiesce; q != nil {
		if early := snapshot.NextAttemptAt(q).Sub(r.Clock.Now()); early > 0 {
			return waitFor(early)
		}
	}
	end, ok := r.room.begin()
	if !ok {
		return r.awaitTurn(ctx, s, v1alpha1.ReasonWaitingForRoom, "waits until other backups have been cut; nothing is frozen")
	}
	defer end()
	if restore, err := r.restoring(ctx, s.VolumeBackup); err != nil {
		return again(err)
	} else if restore != "" {
		return r.awaitTurn(ctx, s, v1alpha1.ReasonApplicationBusy, fmt.Sprintf("waits until VolumeRestore %s has started the application again", restore))
	}
	p, err := r.planAttempt(ctx, s, unquieted)
	if err != nil {
		return r.notPrepared(ctx, s, err)
	}
	leaveDrivers, waited, err := r.enter(ctx, s, p)
	switch {
	case errors.Is(err, errDeleted):
		return rest() // the deletion brings it here again
	case errors.Is(err, errNoTurn):
		return r.awaitTurn(ctx, s, v1alpha1.ReasonWaitingForRoom, waitsForRoom(p))
	case err != nil:
		return again(err)
	}
	defer leaveDrivers()
	if waited { // the application may have changed meanwhile
		if p, err = r.planAttempt(ctx, s, unquieted); err != nil {
			return r.notPrepared(ctx, s, err)
		}
	}
	leavePods, free, err := r.occupy(ctx, s, p)
	if err != nil {
		return again(err)
	}
	if !free {
		return r.awaitTurn(ctx, s, v1alpha1.ReasonApplicationBusy, "waits for another backup that quiets the same pods, or cuts the same volumes")
	}
	defer leavePods()
	meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionStalled)
	return r.quiesceAndCut(ctx, s, p)
}

func (r *VolumeBackupReconciler) planAttempt(ctx context.Context, s *backupScope, unquieted bool) (*plan, error) {
	p, err := r.prepare(ctx, s.VolumeBackup)
	if err == nil && unquieted {
		p.unquieted(r.Options.CutTimeout, s.Status.Quiesce.Failure)
	}
	return p, err
}

// notPrepared waits a while for a problem that may pass, and ends the backup
// with any other.
func (r *VolumeBackupReconciler) notPrepared(ctx context.Context, s *backupScope, err error) outcome {
	p := problemOf(err)
	if p == nil {
		return again(err)
	}
	if !p.Passing {
		return r.fail(ctx, s, p.Reason, p.Message)
	}
	limit := r.Options.NotFoundTimeout
	if p.Reason == v1alpha1.ReasonClaimNotBound || p.Reason == v1alpha1.ReasonPodNotRunning {
		limit = r.Options.PrepareTimeout
	}
	giveUp := mayBegin(s).Add(limit)
	left := giveUp.Sub(r.Clock.Now())
	if left <= 0 {
		return r.fail(ctx, s, p.Reason, p.Message)
	}
	message := fmt.Sprintf("%s (waits until %s)", p.Message, giveUp.UTC().Format(time.TimeOnly+" MST"))
	working(s.VolumeBackup, p.Reason, "%s", message)
	setCondition(s.VolumeBackup, v1alpha1.ConditionStalled, true, p.Reason, "%s", message)
	return waitFor(min(left, time.Second))
}

// mayBegin is from when on an attempt could have been made.
func mayBegin(s *backupScope) time.Time {
	if s.Status.Quiesce != nil {
		return snapshot.NextAttemptAt(s.Status.Quiesce)
	}
	return s.Status.StartTime.Time
}

// quiesceAndCut is the attempt itself: steps that hold live sessions and so
// belong into one call, bounded by the plan's timeout.
func (r *VolumeBackupReconciler) quiesceAndCut(ctx context.Context, s *backupScope, p *plan) outcome {
	r.attempts.Add(1)
	defer r.attempts.Done()
	r.intend(s, p)
	if err := r.save(ctx, s); err != nil {
		return again(err)
	}
	frozenNow.note(client.ObjectKeyFromObject(s.VolumeBackup), s.Status.Quiesce)
	for _, w := range p.warnings {
		record(r.Events, s.VolumeBackup, eventHookWarning(w))
	}
	t := r.run(ctx, s, p)
	r.conclude(s, p, t)
	if err := r.saveOutcome(ctx, s); err != nil {
		return again(err)
	}
	r.tell(s, t)
	return goOn()
}

// intend writes into the status what is about to be done, so that whoever
// comes back after a crash can undo it.
func (r *VolumeBackupReconciler) intend(s *backupScope, p *plan) {
	q := &v1alpha1.QuiesceStatus{
		Method:    p.method,
		Attempt:   1,
		StartedAt: metav1.NewMicroTime(r.Clock.Now()),
		OnFailure: p.onFailure,
	}
	if s.Status.Quiesce != nil {
		q.Attempt = s.Status.Quiesce.Attempt + 1
	}
	if snapshot.Freezes(p.method) {
		deadline := metav1.NewMicroTime(q.StartedAt.Add(p.timeout))
		q.Deadline = &deadline
	}
	for _, t := range p.targets {
		pod := v1alpha1.QuiescedPod{Name: t.Pod, UID: t.UID, Container: t.Container(), Post: t.Post.Args}
		if t.Post.Timeout > 0 {
			pod.PostTimeout = &metav1.Duration{Duration: t.Post.Timeout}
		}
		if t.Pre.Container != pod.Container {
			pod.PreContainer = t.Pre.Container
		}
		q.Pods = append(q.Pods, pod)
	}
	if p.groupClass != "" {
		q.GroupSnapshotName = snapshot.Name(s.Name, s.UID, "group", q.Attempt)
	}
	s.Status.Quiesce = q
	for i := range p.targets {
		p.targets[i].Mark = markOf(s.VolumeBackup)
	}
	s.Status.ApplicationUID = p.application
	s.Status.Volumes = p.volumes
	for i := range s.Status.Volumes {
		if v := &s.Status.Volumes[i]; !s.grouped() {
			v.SnapshotName = snapshot.Name(s.Name, s.UID, v.ClaimName, q.Attempt)
		}
	}
	setCondition(s.VolumeBackup, v1alpha1.ConditionFrozen, false, v1alpha1.ReasonQuiescing, "%s", attemptOf(s.VolumeBackup))
	setCondition(s.VolumeBackup, v1alpha1.ConditionSnapshotsCut, false, v1alpha1.ReasonNotCut, "%s", attemptOf(s.VolumeBackup))
	setCondition(s.VolumeBackup, v1alpha1.ConditionThawed, !snapshot.Freezes(p.method), v1alpha1.ReasonQuiescing, "%s", attemptOf(s.VolumeBackup))
	working(s.VolumeBackup, v1alpha1.ReasonQuiescing, "%s: quiets %d pod(s) and cuts %d volume(s)", attemptOf(s.VolumeBackup), len(q.Pods), len(p.volumes))
}

// conclude writes into the status what became of the attempt.
func (r *VolumeBackupReconciler) conclude(s *backupScope, p *plan, t *trial) {
	q := s.Status.Quiesce
	q.CutAt = microTime(t.cutAt)
	if snapshot.Freezes(q.Method) {
		q.FrozenAt = microTime(t.heldAt)
		if t.allThawed() {
			q.ThawedAt = microTime(cmp.Or(t.thawedAt, r.Clock.Now()))
		}
	}
	for i := range q.Pods {
		q.Pods[i].Thawed = t.releases[q.Pods[i].UID].Thawed
	}
	if d := t.frozenFor(); d > 0 && t.allThawed() {
		q.FrozenFor = &metav1.Duration{Duration: d.Round(time.Millisecond)}
	}
	for i := range s.Status.Volumes {
		snapshot.Record(&s.Status.Volumes[i], t.observed[s.Status.Volumes[i].ClaimName])
	}
	verdict, good := "", false
	if t.err == nil {
		var c v1alpha1.Consistency
		c, good = hooks.Verdict(hooks.Evidence{Method: q.Method, Testified: t.testified(), Unchanged: t.unchanged, Paired: p.unpaired() == "", Covered: p.uncovered == ""})
		verdict = string(c)
	}
	if !good {
		discredit(s.VolumeBackup, t.failure().Error())
		if !t.allThawed() {
			mayBeFrozen(s.VolumeBackup, t.failure())
		}
		return
	}
	s.Status.Consistency = v1alpha1.Consistency(verdict)
	setCondition(s.VolumeBackup, v1alpha1.ConditionSnapshotsCut, true, v1alpha1.ReasonAllCut, "%d snapshot(s) are cut", len(s.Status.Volumes))
	setQuieted(s.VolumeBackup, p)
	setCondition(s.VolumeBackup, v1alpha1.ConditionSnapshotsReady, false, v1alpha1.ReasonNotReady, "0 of %d are ready", len(s.Status.Volumes))
	working(s.VolumeBackup, v1alpha1.ReasonNotReady, "waits until %d snapshot(s) can be restored; the application runs", len(s.Status.Volumes))
}

// setQuieted sets the conditions on the freeze of a good attempt.
func setQuieted(b *v1alpha1.VolumeBackup, p *plan) {
	switch p.method {
	case v1alpha1.MethodIdle:
		setCondition(b, v1alpha1.ConditionFrozen, false, v1alpha1.ReasonNotQuieted, "no pod had the volumes mounted")
		setCondition(b, v1alpha1.ConditionThawed, true, v1alpha1.ReasonNotQuieted, "nothing was frozen")
	case v1alpha1.MethodNone:
		why := cmp.Or(p.uncovered, "nothing was asked to be quieted: annotate the pod template with "+v1alpha1.AnnotationQuiesce+", or write spec.quiesce")
		setCondition(b, v1alpha1.ConditionFrozen, false, v1alpha1.ReasonNotQuieted, "%s", why)
		setCondition(b, v1alpha1.ConditionThawed, true, v1alpha1.ReasonNotQuieted, "nothing was frozen")
	default:
		if why := p.unpaired(); why != "" {
			setCondition(b, v1alpha1.ConditionFrozen, false, v1alpha1.ReasonNotQuieted, "%s", why)
		} else {
			setCondition(b, v1alpha1.ConditionFrozen, true, v1alpha1.ReasonHeld, "%s", cmp.Or(p.uncovered, fmt.Sprintf("%d pod(s) held still", len(p.targets))))
		}
		setCondition(b, v1alpha1.ConditionThawed, true, v1alpha1.ReasonThawed, "%s", goesOn(b.Status.Quiesce))
	}
}

// goesOn says what is known of an application once all that thaws it has run:
// after a pre-hook that has no post-hook, nothing.
func goesOn(q *v1alpha1.QuiesceStatus) string {
	silent := slices.ContainsFunc(q.Pods, func(p v1alpha1.QuiescedPod) bool { return len(p.Post) == 0 })
	if q.Method == v1alpha1.MethodHooks && silent {
		return "no command is left to thaw it: not every pod has a post-hook"
	}
	return "the application goes on"
}

// discredit marks an attempt as failed. Its snapshots are strays from now on.
func discredit(b *v1alpha1.VolumeBackup, why string) {
	q := b.Status.Quiesce
	q.Failure = shortened(why, maxMessage)
	for i := range b.Status.Volumes {
		v := &b.Status.Volumes[i]
		*v = v1alpha1.VolumeStatus{ClaimName: v.ClaimName, VolumeName: v.VolumeName, Driver: v.Driver, VolumeSnapshotClassName: v.VolumeSnapshotClassName}
	}
	setCondition(b, v1alpha1.ConditionFrozen, false, v1alpha1.ReasonQuiesceFailed, "%s", why)
	setCondition(b, v1alpha1.ConditionSnapshotsCut, false, v1alpha1.ReasonNotCut, "%s", why)
	if !snapshot.Open(q) {
		setCondition(b, v1alpha1.ConditionThawed, true, v1alpha1.ReasonThawed, "%s", goesOn(q))
	}
	working(b, v1alpha1.ReasonRetrying, "%s failed: %s", attemptOf(b), why)
}

// attemptOf names the attempt. Those that may go without quiet come after all
// that were asked for.
func attemptOf(b *v1alpha1.VolumeBackup) string {
	n, of := b.Status.Quiesce.Attempt, b.Spec.Attempts
	if n > of {
		return fmt.Sprintf("attempt %d, without quiet", n)
	}
	return fmt.Sprintf("attempt %d of %d", n, of)
}

func giveUpMessage(b *v1alpha1.VolumeBackup) string {
	q := b.Status.Quiesce
	return fmt.Sprintf("after %d attempt(s): %s", q.Attempt, q.Failure)
}

// saveOutcome writes the end of an attempt. Somebody may have touched the
// object meanwhile, with a label or by deleting it; the outcome still stands
// as long as the attempt in it is ours and open. The API may be away: then the
// next reconcile finds the attempt open and thaws again.
func (r *VolumeBackupReconciler) saveOutcome(ctx context.Context, s *backupScope) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	outcome := s.Status
	backoff := wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Steps: 9, Cap: 5 * time.Second}
	return clientretry.OnError(backoff, func(err error) bool { return !errors.Is(err, errNotOurs) }, func() error {
		err := r.save(ctx, s)
		if !isConflict(err) {
			return err
		}
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(s.VolumeBackup), s.VolumeBackup); err != nil {
			return err
		}
		s.written = s.DeepCopy()
		if !sameAttempt(s.Status.Quiesce, outcome.Quiesce) {
			return errNotOurs
		}
		s.Status = outcome
		return err
	})
}

// sameAttempt is true where there is still the intent of this attempt, and
// nobody has begun to recover it.
func sameAttempt(there, ours *v1alpha1.QuiesceStatus) bool {
	return snapshot.Open(there) && there.Attempt == ours.Attempt && there.StartedAt.Equal(&ours.StartedAt) && there.ThawAttempts == ours.ThawAttempts
}

// errNotOurs: another manager has taken the attempt over.
var errNotOurs = errors.New("another manager has ended this attempt")

// tell counts the attempt and records its events.
func (r *VolumeBackupReconciler) tell(s *backupScope, t *trial) {
	q := s.Status.Quiesce
	frozenFor := t.frozenFor()
	if frozenFor > 0 && t.allThawed() {
		frozenSeconds.Observe(frozenFor.Seconds())
	}
	if !t.heldAt.IsZero() && len(q.Pods) > 0 {
		record(r.Events, s.VolumeBackup, eventFrozen(len(q.Pods)))
	}
	if !t.cutAt.IsZero() {
		record(r.Events, s.VolumeBackup, eventCut(len(s.Status.Volumes)))
	}
	if t.allThawed() && frozenFor > 0 {
		record(r.Events, s.VolumeBackup, eventThawed(frozenFor))
	}
	if t.allThawed() && q.Deadline != nil && q.ThawedAt.After(q.Deadline.Time) {
		thawOverdue.Inc() // where it isn't thawed, recover counts
	}
	if q.Failure != "" {
		record(r.Events, s.VolumeBackup, eventAttemptFailed(attemptOf(s.VolumeBackup), q.Failure))
		logf.Log.WithName("volumebackup").Info("attempt failed", "namespace", s.Namespace, "name", s.Name, "attempt", q.Attempt, "method", q.Method)
	}
}

func microTime(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	m := metav1.NewMicroTime(t)
	return &m
}

func isConflict(err error) bool { return err != nil && apierrors.IsConflict(err) }

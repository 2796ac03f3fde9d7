package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot"
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
func (r *VolumeBackupReconciler) recover(ctx context.Context, s *backupScope) outcome {
	q := s.Status.Quiesce
	// What is written of a round brings the backup here again at once.
	if early := nextThawAt(q).Sub(r.Clock.Now()); early > 0 {
		return waitFor(early)
	}
	interrupted, last := q.Failure == "", cmp.Or(q.ThawTriedAt, &q.StartedAt).Time
	// Written first: whoever began the attempt, and was only held up, can't
	// call it good any more once a post-hook has run.
	q.ThawAttempts++
	q.ThawTriedAt = microTime(r.Clock.Now())
	if err := r.save(ctx, s); err != nil {
		return again(err)
	}
	q = s.Status.Quiesce // what was read back has taken its place
	err := r.thawPods(ctx, s)
	now := metav1.NewMicroTime(r.Clock.Now())
	if q.Deadline != nil && !last.After(q.Deadline.Time) && now.After(q.Deadline.Time) {
		thawOverdue.Inc() // once: in the round that the deadline lies in
	}
	if err != nil {
		return r.notThawed(ctx, s, err)
	}
	q.ThawedAt = &now
	if q.FrozenAt != nil {
		q.FrozenFor = &metav1.Duration{Duration: now.Sub(q.FrozenAt.Time).Round(time.Millisecond)}
		frozenSeconds.Observe(q.FrozenFor.Seconds())
	}
	meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionStalled)
	why := q.Failure
	if interrupted {
		why = "the attempt was interrupted, its manager was stopped or had to take it up again; " + goesOn(q)
	}
	discredit(s.VolumeBackup, why)
	if err := r.save(ctx, s); err != nil {
		return again(err)
	}
	if len(q.Pods) > 0 {
		record(r.Events, s.VolumeBackup, eventRecoveredThaw(len(q.Pods), interrupted))
	}
	return goOn()
}

// nextThawAt is when the next round of post-hooks may begin.
func nextThawAt(q *v1alpha1.QuiesceStatus) time.Time {
	if q.ThawTriedAt == nil {
		return time.Time{}
	}
	return q.ThawTriedAt.Add(min(snapshot.AttemptDelay(q.ThawAttempts), maxThawDelay))
}

// notThawed says which command thaws by hand, and tries again for a while.
func (r *VolumeBackupReconciler) notThawed(ctx context.Context, s *backupScope, err error) outcome {
	q := s.Status.Quiesce
	message := mayBeFrozen(s.VolumeBackup, err)
	record(r.Events, s.VolumeBackup, eventThawFailed(message))
	if q.ThawAttempts >= maxThawAttempts {
		if q.Deadline != nil && r.Clock.Now().Before(q.Deadline.Time) {
			thawOverdue.Inc() // nothing thaws it by then any more
		}
		discredit(s.VolumeBackup, message)
		return r.fail(ctx, s, v1alpha1.ReasonThawFailed, message)
	}
	working(s.VolumeBackup, v1alpha1.ReasonThawing, "%s", message)
	return waitFor(nextThawAt(q).Sub(r.Clock.Now()))
}

// mayBeFrozen says so in the conditions, and what to do.
func mayBeFrozen(b *v1alpha1.VolumeBackup, why error) (message string) {
	// The command first: an event has room for a kilobyte.
	message = fmt.Sprintf("the application may still be frozen. Thaw it by hand: %s. The cause: %v", byHand(b, errors.Is(why, hooks.ErrNoShell)), why)
	setCondition(b, v1alpha1.ConditionThawed, false, v1alpha1.ReasonThawFailed, "%s", message)
	setCondition(b, v1alpha1.ConditionStalled, true, v1alpha1.ReasonThawFailed, "%s", message)
	return message
}

// byHand is the first command that would thaw, for a person to copy.
func byHand(b *v1alpha1.VolumeBackup, noShell bool) string {
	for _, p := range b.Status.Quiesce.Pods {
		if !p.Thawed && len(p.Post) == 0 && noShell {
			return fmt.Sprintf("kubectl delete pod -n %s %s, or wait until its command ends by itself", b.Namespace, p.Name)
		}
		if !p.Thawed && len(p.Post) == 0 {
			return fmt.Sprintf("kubectl exec -n %s %s -c %s -- pkill -KILL -f lull=%s", b.Namespace, p.Name, p.Container, markOf(b))
		}
		if !p.Thawed {
			return fmt.Sprintf("kubectl exec -n %s %s -c %s -- %s", b.Namespace, p.Name, p.Container, quoted(p.Post))
		}
	}
	return "nothing is left to thaw"
}

// markOf is that of the backup's last attempt.
func markOf(b *v1alpha1.VolumeBackup) hooks.Mark {
	return hooks.Mark(fmt.Sprintf("%s.%d", b.UID, b.Status.Quiesce.Attempt))
}

func quoted(args []string) string {
	words := make([]string, 0, len(args))
	for _, a := range args {
		words = append(words, "'"+strings.ReplaceAll(a, "'", `'\''`)+"'")
	}
	return strings.Join(words, " ")
}

// thawPods ends what is left of the attempt in all pods that aren't known to be
// thawed, and runs their recorded post-hooks, at once. A held session ends with
// its stream, as the runtime ends its input when the client goes; but a command
// may not heed that, and a pre-hook knows nothing of its client.
func (r *VolumeBackupReconciler) thawPods(ctx context.Context, s *backupScope) error {
	ctx = context.WithoutCancel(ctx)
	pods := s.Status.Quiesce.Pods
	errs := make([]error, len(pods))
	var all sync.WaitGroup
	for i := range pods {
		if pods[i].Thawed {
			continue
		}
		all.Go(func() { errs[i] = r.thawPod(ctx, s, &pods[i]) })
	}
	all.Wait()
	return hooks.Join(errs...)
}

func (r *VolumeBackupReconciler) thawPod(ctx context.Context, s *backupScope, p *v1alpha1.QuiescedPod) error {
	pod, err := r.stillThere(ctx, s.Namespace, p)
	if err != nil {
		return err
	}
	var failed error
	for _, container := range []string{p.PreContainer, p.Container} {
		if pod == nil || !hooks.Runs(pod, container) {
			continue
		}
		in := hooks.Container{Namespace: s.Namespace, Pod: p.Name, Name: container}
		failed = hooks.Join(failed, hooks.EndLeftover(ctx, r.Executor, in, markOf(s.VolumeBackup)))
	}
	// The post-hook runs all the same: what couldn't be ended may wait for it.
	if pod != nil && len(p.Post) > 0 {
		target := hooks.Target{
			Namespace: s.Namespace, Pod: p.Name, UID: p.UID, Mark: markOf(s.VolumeBackup),
			Post: hooks.Command{Args: p.Post, Container: p.Container, Timeout: ptr.Deref(p.PostTimeout, metav1.Duration{}).Duration},
		}
		failed = hooks.Join(failed, hooks.Thaw(ctx, r.Executor, target))
	}
	if failed != nil {
		return failed
	}
	p.Thawed = true
	return nil
}

// stillThere is the pod, nil where its processes are no more. One that isn't
// ready is there: a frozen database often fails its probe.
func (r *VolumeBackupReconciler) stillThere(ctx context.Context, namespace string, p *v1alpha1.QuiescedPod) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, thawLimit)
	defer cancel()
	var pod corev1.Pod
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: p.Name}, &pod)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if pod.UID != p.UID || finished(&pod) {
		return nil, err
	}
	return &pod, err
}

// discardStrays deletes the snapshots of a backup that its status doesn't
// name: those of attempts that failed, whenever they come up. A late cut is
// never adopted.
func (r *VolumeBackupReconciler) discardStrays(ctx context.Context, s *backupScope) error {
	if snapshot.Open(s.Status.Quiesce) && !snapshot.Ended(s.VolumeBackup) {
		return nil // recover discredits the attempt first
	}
	wanted := map[string]bool{}
	for _, v := range s.Status.Volumes {
		wanted[v.SnapshotName] = true
	}
	made, err := r.snapshotsOf(ctx, s)
	if err != nil {
		return err
	}
	for i := range made {
		snap := &made[i]
		if wanted[snap.Name] || !snap.DeletionTimestamp.IsZero() || groupOf(snap) != nil {
			continue // a group's snapshots go with it
		}
		if err := r.Delete(ctx, snap, client.Preconditions{UID: &snap.UID}); client.IgnoreNotFound(err) != nil {
			return err
		}
		record(r.Events, s.VolumeBackup, eventLateCutDiscarded("VolumeSnapshot", snap.Name))
	}
	return r.discardGroups(ctx, s)
}

// snapshotsOf are the snapshots that were made for a backup, by the cache. One
// that isn't in it yet brings the backup here again when it comes.
func (r *VolumeBackupReconciler) snapshotsOf(ctx context.Context, s *backupScope) ([]snapshotv1.VolumeSnapshot, error) {
	var made snapshotv1.VolumeSnapshotList
	err := r.List(ctx, &made, client.InNamespace(s.Namespace), client.MatchingLabels{v1alpha1.LabelBackupUID: string(s.UID)})
	return made.Items, err
}

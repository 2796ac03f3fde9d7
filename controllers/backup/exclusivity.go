package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/restore"
)

// held is what an attempt has acquired, the last first.
type held []func()

func (h *held) keep(release func()) { *h = append(*h, release) }

func (h *held) release() {
	for _, release := range slices.Backward(*h) {
		release()
	}
}

// acquire makes the plan of an attempt and acquires all that it needs: one of
// the attempts that may be under way, the application against restores, capacity
// of the drivers, and the pods against other backups. The plan is nil where it
// isn't its turn yet.
func (w *run) acquire(ctx context.Context, held *held) (*plan, reconcile.Outcome) {
	release, ok := w.turns.take(w.VolumeBackup)
	if !ok {
		return nil, w.awaitExclusivity(v1alpha1.ReasonWaitingForRoom, w.waitsForTurn(), w.exclusivityLeft(w.VolumeBackup))
	}
	held.keep(release)
	arrived := w.limiter.arrivals.begin()
	defer arrived()
	if restoring, err := w.restoring(ctx); err != nil {
		return nil, reconcile.Retry(err)
	} else if restoring != "" {
		return nil, w.awaitExclusivity(v1alpha1.ReasonApplicationBusy, fmt.Sprintf("waits until VolumeRestore %s has started the application again", restoring), exclusivityDelay)
	}
	p, err := w.plan(ctx)
	if err != nil {
		return nil, w.notPlanned(err)
	}
	room, waited, err := w.acquireDrivers(ctx, p, arrived)
	switch {
	case errors.Is(err, errDeleted):
		return nil, reconcile.Done() // the deletion brings it here again
	case errors.Is(err, errNotExclusive):
		return nil, w.awaitExclusivity(v1alpha1.ReasonWaitingForRoom, w.waitsForDrivers(p), exclusivityDelay)
	case err != nil:
		return nil, reconcile.Retry(err)
	}
	held.keep(room.release)
	p, out := w.acquirePods(ctx, held, p, waited)
	if p == nil {
		room.unmade()
	}
	return p, out
}

// acquirePods acquires the pods, once there is room to cut their volumes.
func (w *run) acquirePods(ctx context.Context, held *held, p *plan, waited bool) (*plan, reconcile.Outcome) {
	if waited { // the application may have changed meanwhile
		var err error
		if p, err = w.plan(ctx); err != nil {
			return nil, w.notPlanned(err)
		}
	}
	release, free, err := w.lockPods(ctx, p)
	if err != nil {
		return nil, reconcile.Retry(err)
	}
	if !free {
		return nil, w.awaitExclusivity(v1alpha1.ReasonApplicationBusy, "waits for another backup that quiets the same pods, or cuts the same volumes", exclusivityDelay)
	}
	held.keep(release)
	if left, err := w.untilNextFreeze(ctx, p); err != nil {
		return nil, reconcile.Retry(err)
	} else if left > 0 {
		return nil, w.awaitExclusivity(v1alpha1.ReasonApplicationBusy, fmt.Sprintf("waits until %s have passed since the application was frozen last", w.Options.MinFreezeInterval), left)
	}
	return p, reconcile.Continue()
}

// notPlanned waits a while for a problem that may pass, and ends the backup
// with any other.
func (w *run) notPlanned(err error) reconcile.Outcome {
	p := reconcile.ProblemOf(err)
	if p == nil || !p.Passing {
		return reconcile.Failed(err)
	}
	limit := w.Options.NotFoundTimeout
	if p.Reason == v1alpha1.ReasonClaimNotBound || p.Reason == v1alpha1.ReasonPodNotRunning {
		limit = w.Options.PrepareTimeout
	}
	giveUp := waitsUntil(w.VolumeBackup, limit, w.Now())
	left := giveUp.Sub(w.Now())
	if left <= 0 {
		return reconcile.Stall(p)
	}
	message := fmt.Sprintf("%s (waits until %s)", p.Message, giveUp.UTC().Format(time.TimeOnly+" MST"))
	w.Working(p.Reason, "%s", message)
	w.Set(v1alpha1.ConditionStalled, true, p.Reason, "%s", message)
	return reconcile.Wait(min(left, time.Second))
}

// waitsUntil is until when a backup waits for what may come: for limit, from when
// it was first missed. Its turn may have come late.
func waitsUntil(b *v1alpha1.VolumeBackup, limit time.Duration, now time.Time) time.Time {
	since := now
	if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionStalled); c != nil && c.Status == metav1.ConditionTrue {
		since = c.LastTransitionTime.Time
	}
	if begin := mayBegin(b); begin.After(since) { // the condition is of the attempt before
		since = begin
	}
	return since.Add(limit)
}

// overdue is what was waited for, as a doubt, once it doesn't come in time. It is
// empty where it may still come, or nothing is waited for. A node that is lost
// never lets go of its volumes, and whoever has lost it wants a copy of them: it
// is Declared, with the reason, and not refused.
func overdue(err error, until, now time.Time) string {
	if p := reconcile.ProblemOf(err); p != nil && p.Passing && !now.Before(until) {
		return p.Message
	}
	return ""
}

// restoring is the restore that has the application stopped, empty where none
// has. Its claims lead to volumes of two times while they are swapped, and
// since no pod runs, nothing else would tell.
func (w *run) restoring(ctx context.Context) (string, error) {
	all, err := live.Reader{Reader: w.Live}.Restores(ctx, w.Namespace)
	return restore.StoppedBy(w.Spec.ApplicationRef, all), err
}

// exclusivityDelay is how often a backup looks whether its application is free.
const exclusivityDelay = time.Second

// awaitExclusivity says what a backup waits for, nothing of which is a problem, until
// it has waited for too long. It looks again after delay. Nothing is frozen.
func (w *run) awaitExclusivity(reason, waits string, delay time.Duration) reconcile.Outcome {
	left := w.exclusivityLeft(w.VolumeBackup)
	if left <= 0 {
		return reconcile.Stall(v1alpha1.Problemf(reason, "gave up after %s: it %s", w.Options.ExclusivityTimeout, waits))
	}
	w.Working(reason, "%s", waits)
	return reconcile.Wait(min(left, delay))
}

// exclusivityLeft is how long a backup may still wait: no longer than if it began
// now, whatever clock says when it did.
func (r *Reconciler) exclusivityLeft(b *v1alpha1.VolumeBackup) time.Duration {
	return min(r.Options.ExclusivityTimeout, mayBegin(b).Add(r.Options.ExclusivityTimeout).Sub(r.Clock.Now()))
}

// errNotExclusive: it has waited for as long as it may.
var errNotExclusive = errors.New("its turn did not come")

// waitsForTurn says at which place a backup waits. That isn't written anew each time
// that one before it has begun.
func (w *run) waitsForTurn() string {
	inNamespace, inOthers := w.turns.before(w.VolumeBackup)
	return "waits until other backups have been cut" + placeIn(inNamespace, inOthers)
}

func (w *run) waitsForDrivers(p *plan) string {
	pace := ""
	if w.Options.SnapshotsPerSecond > 0 {
		pace = fmt.Sprintf(", of which it makes %g a second at most (--snapshots-per-second)", w.Options.SnapshotsPerSecond)
	}
	inNamespace, inOthers := w.limiter.before(turnOf(w.VolumeBackup), p.volumes)
	return fmt.Sprintf("waits until the storage driver has room for %d snapshot(s)%s%s", len(p.volumes), pace, placeIn(inNamespace, inOthers))
}

func placeIn(inNamespace, inOthers int) string {
	return fmt.Sprintf(": when this was written it was number %d of its namespace, and %d waited in others, which take turns with it; nothing is frozen", inNamespace+1, inOthers)
}

// acquireDrivers waits for capacity of the drivers, and says so where it has to
// wait.
func (w *run) acquireDrivers(ctx context.Context, p *plan, arrived func()) (room capacity, waited bool, err error) {
	turn := turnOf(w.VolumeBackup)
	if room, ok := w.limiter.tryAcquireDrivers(turn, p.volumes); ok {
		return room, false, nil
	}
	w.Working(v1alpha1.ReasonWaitingForRoom, "%s", w.waitsForDrivers(p))
	if err := w.Save(ctx); err != nil {
		return nil, true, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.exclusivityLeft(w.VolumeBackup), errNotExclusive)
	defer cancel()
	ctx, forget := w.untilDeleted(ctx)
	defer forget()
	if room, err = w.limiter.acquireDrivers(ctx, turn, p.volumes, arrived); err != nil {
		err = context.Cause(ctx)
	}
	return room, true, err
}

// lockPods keeps the pods that are to be quieted for this attempt alone: hooks
// of one backup would thaw the freeze of another. So it does the claims of a
// group: one label says which group each is of. It is not free where an
// attempt in this process has them, or one of an earlier manager that isn't
// thawed yet.
func (w *run) lockPods(ctx context.Context, p *plan) (release func(), free bool, err error) {
	pods := p.pods()
	wanted := pods
	if p.groupClass != "" {
		wanted = slices.Concat(pods, p.claimUIDs)
	}
	release, free = w.limiter.lock(wanted)
	if !free || len(pods) == 0 {
		return release, free, nil
	}
	var others v1alpha1.VolumeBackupList
	if err := w.List(ctx, &others, client.InNamespace(w.Namespace)); err != nil {
		release()
		return nil, false, err
	}
	for i := range others.Items {
		if others.Items[i].UID != w.UID && mayHoldAny(&others.Items[i], pods) {
			release()
			return nil, false, nil
		}
	}
	return release, true, nil
}

// mayHoldAny is true for a backup with an open attempt on one of the pods.
func mayHoldAny(b *v1alpha1.VolumeBackup, pods []types.UID) bool {
	if cut.Ended(b) || !cut.Open(b.Status.Quiesce) {
		return false
	}
	return slices.ContainsFunc(b.Status.Quiesce.Pods, func(p v1alpha1.QuiescedPod) bool {
		return !p.Thawed && slices.Contains(pods, p.UID)
	})
}

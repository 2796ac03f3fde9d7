package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// backupRun is one performance of a scenario of backups.
type backupRun struct {
	*round
	scenario *backupScenario

	guard sync.Mutex
	all   []*v1alpha1.VolumeBackup
}

func (r *backupRun) prepare(context.Context) error { return nil }

func (r *backupRun) begin(ctx context.Context) error {
	all, err := r.scenario.begin(ctx, r.testbed)
	r.guard.Lock()
	r.all = all
	r.guard.Unlock()
	if err == nil && r.scenario.meanwhile != nil {
		err = r.scenario.meanwhile(ctx, r.testbed, all)
	}
	return err
}

// backups are those of the scenario, as last seen.
func (r *backupRun) backups() []*v1alpha1.VolumeBackup {
	r.guard.Lock()
	defer r.guard.Unlock()
	var copies []*v1alpha1.VolumeBackup
	for _, b := range r.all {
		copies = append(copies, b.DeepCopy())
	}
	return copies
}

func (r *backupRun) end(ctx context.Context) {
	for _, b := range r.backups() {
		r.awaitEnd(ctx, b)
	}
	r.settle(ctx)
	r.refresh(ctx)
	observation := r.awaitWriting(ctx)
	var alive []*v1alpha1.VolumeBackup
	for _, b := range r.backups() {
		if b.DeletionTimestamp.IsZero() && b.Status.StartTime != nil {
			r.checkEnd(ctx, b, observation)
		}
		if b.DeletionTimestamp.IsZero() && ended(b) {
			alive = append(alive, b)
		}
	}
	if r.fault.mild && len(alive) == len(r.all) {
		if wrong := r.scenario.wants(alive); wrong != "" {
			r.violates("%s", wrong)
		}
	}
}

// awaitEnd waits until a backup is complete, has failed, or is gone.
func (r *backupRun) awaitEnd(ctx context.Context, b *v1alpha1.VolumeBackup) {
	err := poll(ctx, r.within(endLimit+r.scenario.frozen), b.Name+" ends", func(ctx context.Context) (string, error) {
		if gone, err := r.testbed.gone(ctx, b); gone || err != nil {
			return "", err
		}
		return unless(ended(b) && b.DeletionTimestamp.IsZero(), "%s, %s", b.Status.Phase, b.Status.Message), nil
	})
	if err != nil {
		r.violates("it doesn't converge: %v", err)
	}
}

// refresh reads the backups as they are now; those that are gone keep what was
// last seen, and count as deleted.
func (r *backupRun) refresh(ctx context.Context) {
	r.guard.Lock()
	defer r.guard.Unlock()
	for _, b := range r.all {
		gone, err := r.testbed.gone(ctx, b)
		if err != nil {
			r.broke("%v", err)
		}
		if gone && b.DeletionTimestamp.IsZero() {
			now := metav1.Now()
			b.DeletionTimestamp = &now
		}
	}
}

func (r *backupRun) leave(ctx context.Context) {
	for _, b := range r.backups() {
		if err := r.testbed.Delete(ctx, b); client.IgnoreNotFound(err) != nil {
			r.broke("%v", err)
		}
	}
	for _, b := range r.backups() {
		err := poll(ctx, r.within(goneLimit+r.scenario.frozen), b.Name+" is gone", func(ctx context.Context) (string, error) {
			gone, err := r.testbed.gone(ctx, b)
			return unless(gone, "%s, %s", b.Status.Phase, b.Status.Message), errors.Join(err, r.unstick(ctx))
		})
		if err != nil {
			r.violates("it can't be deleted: %v", err)
		}
	}
	r.settle(ctx)
	r.stopOthers(ctx)
	if r.scenario.tidy != nil {
		if err := r.scenario.tidy(ctx, r.testbed); err != nil {
			r.broke("%v", err)
		}
	}
	r.awaitNothingLeft(ctx)
}

// awaitWriting waits until the application writes, and no session is left in
// it. However a round went, it has to come to that. It also holds the longest
// pause to what the owner allows.
func (r *backupRun) awaitWriting(ctx context.Context) *observation {
	if r.testbed.retired() != "" || r.toBeThawedByHand() {
		return nil
	}
	var seen *observation
	asked := time.Now()
	limit := ownLimit*time.Second + slack + r.blind + r.scenario.frozen + 30*time.Second
	err := poll(ctx, limit, "the application writes", func(ctx context.Context) (string, error) {
		looked, err := r.testbed.observe(ctx)
		if err != nil {
			return "", err
		}
		seen = looked
		if len(seen.leftovers) > 0 {
			return fmt.Sprintf("commands of ours run in it: %q", seen.leftovers), nil
		}
		return unless(seen.lastAt.After(asked), "its last record is from %s", seen.lastAt.Format(time.TimeOnly)), nil
	})
	if err != nil {
		r.violates("FROZEN: %v", err)
		return seen
	}
	if pause, allowed := seen.longestPause(r.began), r.allowedPause(); pause > allowed {
		r.violates("FROZEN for %s, and %s is allowed", pause.Round(10*time.Millisecond), allowed.Round(time.Second))
	}
	return seen
}

// allowedPause is how long the application may have stood still: a held session
// ends by itself, and a pair of hooks has a watchman, whatever becomes of managers.
func (r *backupRun) allowedPause() time.Duration {
	limit := ownLimit*time.Second + slack
	for _, b := range r.backups() {
		if q := b.Spec.Quiesce; q == nil || q.Hold == nil {
			limit += r.scenario.frozen
			if r.noted(&r.sprung) || r.scenario.prelude != nil {
				limit += 10 * time.Second // of the watchman of a manager that took over, and died or was halted as well
			}
		}
	}
	if r.noted(&r.podGone) {
		limit += 30 * time.Second // until another pod is there
	}
	return limit
}

// toBeThawedByHand is true where a post-hook is broken, and the status says so.
func (r *backupRun) toBeThawedByHand() bool {
	return slices.ContainsFunc(r.backups(), func(b *v1alpha1.VolumeBackup) bool { return reason(b) == v1alpha1.ReasonThawFailed })
}

// whileHalted waits until the application must go on without a manager: by the own
// limit of a held session, or by the watchman of a pair of hooks.
func (r *backupRun) whileHalted(ctx context.Context) error {
	over := time.NewTimer(ownLimit * time.Second)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.scenario.frozen > 0 {
		return nil // its post-hook is broken
	}
	asked := time.Now()
	err := poll(ctx, slack+2*time.Second, "the application goes on by itself", func(ctx context.Context) (string, error) {
		seen, err := r.testbed.observe(ctx)
		if err != nil {
			return "", err
		}
		return unless(seen.lastAt.After(asked), "the last record is from %s", seen.lastAt.Format(time.TimeOnly)), nil
	})
	if err != nil {
		r.violates("FROZEN: %v", err)
	}
	return nil
}

// checkEnd holds a backup at its end to all that must be true of one, however
// it got there.
func (r *backupRun) checkEnd(ctx context.Context, b *v1alpha1.VolumeBackup, seen *observation) {
	complete, failed := isTrue(b, v1alpha1.ConditionComplete), isTrue(b, v1alpha1.ConditionFailed)
	if !complete && !failed {
		return // it doesn't converge: that is a violation already
	}
	r.wants(complete != failed, b, "it is both Complete and Failed")
	r.wants(!isTrue(b, v1alpha1.ConditionReconciling), b, "it is at its end and still Reconciling")
	r.wants(complete || reason(b) != "" && b.Status.Message != "", b, "it failed without a reason")
	r.wants(complete == (b.Status.Phase == v1alpha1.PhaseCompleted), b, "phase %s", b.Status.Phase)
	q := b.Status.Quiesce
	quieted := q != nil && (q.Method == v1alpha1.MethodHold || q.Method == v1alpha1.MethodHooks)
	r.wants(!quieted || q.ThawedAt != nil || reason(b) == v1alpha1.ReasonThawFailed, b, "an attempt at its end isn't thawed")
	// A manager that stands still when the session ends by itself notes it late.
	r.wants(!complete || !quieted || !q.ThawedAt.After(q.Deadline.Add(r.blind)), b, "complete, and thawed after the deadline")
	r.wants(!complete || b.Status.Consistency != "" && len(b.Status.Volumes) > 0, b, "complete without a verdict or volumes")
	if complete {
		r.checkVerdict(ctx, b, seen)
		r.checkOutlives(ctx, b)
		r.checkExported(ctx, b)
	}
	r.checkOrphans(ctx, b)
}

func (r *backupRun) wants(good bool, b *v1alpha1.VolumeBackup, format string, args ...any) {
	if !good {
		r.violates("%s: %s", b.Name, fmt.Sprintf(format, args...))
	}
}

// goes reports whether a backup has been deleted: right after its end is seen, a
// fault may do so.
func (r *backupRun) goes(ctx context.Context, b *v1alpha1.VolumeBackup) bool {
	now := b.DeepCopy()
	gone, err := r.testbed.gone(ctx, now)
	return gone || err == nil && !now.DeletionTimestamp.IsZero()
}

// checkVerdict holds what a backup says of itself against what the application
// and the storage say: the cuts of all volumes were in one and the same quiet.
func (r *backupRun) checkVerdict(ctx context.Context, b *v1alpha1.VolumeBackup, seen *observation) {
	q := b.Status.Quiesce
	if q == nil {
		r.violates("%s: complete without an attempt", b.Name)
		return
	}
	methods := map[v1alpha1.Consistency][]v1alpha1.QuiesceMethod{
		v1alpha1.Proven:   {v1alpha1.MethodHold, v1alpha1.MethodIdle},
		v1alpha1.Declared: {v1alpha1.MethodHooks, v1alpha1.MethodHold, v1alpha1.MethodIdle},
		v1alpha1.Crash:    {v1alpha1.MethodNone, v1alpha1.MethodHold, v1alpha1.MethodHooks},
	}
	fits := false
	for _, m := range methods[b.Status.Consistency] {
		fits = fits || m == q.Method
	}
	r.wants(fits, b, "%s by %s", b.Status.Consistency, q.Method)
	if isAlone(b) {
		return // nothing is left that the storage could tell of
	}
	first, last, err := r.cuts(ctx, b)
	if err != nil {
		if !r.noted(&r.tampered) && !r.goes(ctx, b) {
			r.violates("%s: complete, and a snapshot isn't there: %v", b.Name, err)
		}
		return
	}
	quieted := q.Method == v1alpha1.MethodHold || q.Method == v1alpha1.MethodHooks
	if !quieted || b.Status.Consistency == v1alpha1.Crash || seen == nil {
		return
	}
	const blur = 30 * time.Millisecond // of the application's clock
	for _, quiet := range seen.quiets {
		if !quiet.to.IsZero() && quiet.from.Before(first.Add(blur)) && quiet.to.After(last.Add(-blur)) {
			return
		}
	}
	r.violates("FALSE %s: %s was cut from %s to %s, and the application was quiet at %v", b.Status.Consistency, b.Name,
		first.Format(timeFormat), last.Format(timeFormat), lastOf(seen.quiets, 4))
}

const timeFormat = "15:04:05.000"

func (i interval) String() string {
	return i.from.Format(timeFormat) + "–" + i.to.Format(timeFormat)
}

func lastOf(all []interval, n int) []interval { return all[max(0, len(all)-n):] }

// cuts are the first and the last cut of a backup, by the storage's own word.
func (r *backupRun) cuts(ctx context.Context, b *v1alpha1.VolumeBackup) (first, last time.Time, err error) {
	snapshots, contents, err := r.testbed.left(ctx)
	if err != nil {
		return first, last, err
	}
	for _, v := range b.Status.Volumes {
		there := false
		for i := range snapshots {
			there = there || snapshots[i].Name == v.SnapshotName && snapshots[i].DeletionTimestamp.IsZero()
		}
		if !there {
			return first, last, fmt.Errorf("VolumeSnapshot %s", v.SnapshotName)
		}
		cut := time.Time{}
		for i := range contents {
			if c := &contents[i]; c.Name == v.ContentName && c.Status != nil && c.Status.CreationTime != nil {
				cut = time.Unix(0, *c.Status.CreationTime)
			}
		}
		if cut.IsZero() {
			return first, last, fmt.Errorf("cut content of %s", v.SnapshotName)
		}
		if first.IsZero() || cut.Before(first) {
			first = cut
		}
		if cut.After(last) {
			last = cut
		}
	}
	return first, last, nil
}

// checkOrphans waits until only the snapshots that the backup names are left.
func (r *backupRun) checkOrphans(ctx context.Context, b *v1alpha1.VolumeBackup) {
	named := map[string]bool{}
	for _, v := range b.Status.Volumes {
		named[v.SnapshotName] = true
	}
	err := poll(ctx, goneLimit, "no orphan is left", func(ctx context.Context) (string, error) {
		snapshots, _, err := r.testbed.left(ctx)
		for i := range snapshots {
			if s := &snapshots[i]; s.Labels[v1alpha1.LabelBackupUID] == string(b.UID) && !named[s.Name] {
				return s.Name, err
			}
		}
		group, groupErr := r.orphanGroup(ctx, b)
		return group, errors.Join(err, groupErr)
	})
	if err != nil {
		r.violates("%s: %v", b.Name, err)
	}
	now := b.DeepCopy()
	if err := r.testbed.Get(ctx, client.ObjectKeyFromObject(b), now); err == nil {
		r.wants(meta.IsStatusConditionTrue(now.Status.Conditions, v1alpha1.ConditionComplete) == isTrue(b, v1alpha1.ConditionComplete), b, "its end isn't one: it changed again")
	}
}

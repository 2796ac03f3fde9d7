package main

import (
	"context"
	"errors"
	"slices"
	"time"
	_ "time/tzdata" // the image has no zones of its own

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/retention"
)

// forget forgets snapshots, and sees that they are gone. One that was gone before
// is no error.
func (m *mover) forget(ctx context.Context, task *resticexport.Forget, result *resticexport.Result) error {
	listed, err := m.listed(ctx)
	if err != nil {
		return err
	}
	there := slices.DeleteFunc(slices.Clone(task.IDs), func(id string) bool { return !listed[id] })
	slices.Sort(there)
	result.Forget = &resticexport.ForgottenSnapshots{Forgotten: len(slices.Compact(there))}
	return m.remove(ctx, there)
}

// remove forgets snapshots that are there.
func (m *mover) remove(ctx context.Context, ids []string) error {
	for batch := range slices.Chunk(ids, resticexport.MaxIDs) {
		if _, err := m.restic.talk(ctx, run{args: (&resticexport.Forget{IDs: batch}).Command()}); err != nil {
			return notForgotten(err)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	listed, err := m.listed(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if listed[id] {
			return failed(resticexport.CauseNotVerified, "restic forgot snapshot %s, but the repository still lists it", id)
		}
	}
	return nil
}

// notForgotten tells the one case of code 3 that isn't about a source: the server
// refused to remove.
func notForgotten(err error) error {
	var f *failure
	if errors.As(err, &f) && f.cause == resticexport.CauseSourceUnreadable {
		return &failure{cause: resticexport.CauseAccessDenied, message: f.message, exitCode: f.exitCode}
	}
	return err
}

func (m *mover) listed(ctx context.Context) (map[string]bool, error) {
	listed := map[string]bool{}
	err := m.restic.look(ctx, resticexport.SnapshotsCommand(""), eachOf(func(s resticexport.ResticSnapshot) { listed[s.ID] = true }))
	return listed, err
}

// retain forgets what the rules don't keep, by the rules of snapshots in the
// cluster.
func (m *mover) retain(ctx context.Context, task *resticexport.Retain, result *resticexport.Result) error {
	n := len(task.Histories)
	result.Forget = &resticexport.ForgottenSnapshots{Histories: n, Through: task.Histories[n-1].Key()}
	all, err := m.ours(ctx, "")
	if err != nil {
		return err
	}
	var surplus []string
	for i := range task.Histories {
		history := &task.Histories[i]
		rules, zone, err := rulesOf(history)
		if err != nil {
			return failed(resticexport.CauseInvalid, "%s of %s: %v", history.Policy, history.Host, err)
		}
		for _, backups := range countedTogether(all, history) {
			kept, rest := rules.Split(backups.asRetained(history.Held), zone, m.now())
			result.Forget.Kept += len(backups.idsOf(kept))
			surplus = append(surplus, backups.idsOf(rest)...)
		}
	}
	result.Forget.Forgotten = len(surplus)
	return m.remove(ctx, surplus)
}

func rulesOf(task *resticexport.History) (retention.Rules, *time.Location, error) {
	zone, err := time.LoadLocation(task.TimeZone)
	if err != nil {
		return retention.Rules{}, nil, err
	}
	r := task.Rules
	rules := retention.Rules{
		Last: int(r.KeepLast), Hourly: int(r.KeepHourly), Daily: int(r.KeepDaily),
		Weekly: int(r.KeepWeekly), Monthly: int(r.KeepMonthly), Yearly: int(r.KeepYearly),
	}
	for _, within := range []struct {
		span *retention.Span
		text v1alpha1.Span
	}{
		{&rules.Within, r.KeepWithin}, {&rules.WithinHourly, r.KeepWithinHourly}, {&rules.WithinDaily, r.KeepWithinDaily},
		{&rules.WithinWeekly, r.KeepWithinWeekly}, {&rules.WithinMonthly, r.KeepWithinMonthly}, {&rules.WithinYearly, r.KeepWithinYearly},
	} {
		if *within.span, err = retention.ParseSpan(string(within.text)); err != nil {
			return retention.Rules{}, nil, err
		}
	}
	if rules == (retention.Rules{}) || rules.KeepsNothing() {
		return retention.Rules{}, nil, errors.New("the rules keep nothing")
	}
	return rules, zone, nil
}

// prune prunes, unless snapshots have vanished since the last look: what only they
// used would be gone for good.
func (m *mover) prune(ctx context.Context, task *resticexport.Prune) error {
	if task.Expected > 0 {
		listed, err := m.listed(ctx)
		if err != nil {
			return err
		}
		if 2*len(listed) < int(task.Expected) {
			return failed(resticexport.CauseVanished, "%d snapshots were there at the last look, and %d are now: nothing is pruned", task.Expected, len(listed))
		}
	}
	_, err := m.restic.talk(ctx, run{args: task.Command()})
	return err
}

// check checks. A repository that has errors is damaged, whatever restic's code.
func (m *mover) check(ctx context.Context, task *resticexport.Check, result *resticexport.Result) error {
	summary, err := m.restic.talk(ctx, run{args: task.Command()})
	if summary.Kind == resticexport.KindSummary {
		result.Check = &resticexport.CheckedRepository{
			Errors: summary.NumErrors, BrokenPacks: summary.BrokenPacks, BrokenPackCount: len(summary.BrokenPacks),
			SuggestRepairIndex: summary.SuggestRepairIndex, SuggestPrune: summary.SuggestPrune,
		}
	}
	switch {
	case err != nil:
		return err
	case result.Check == nil:
		return failed(resticexport.CauseNotVerified, "restic ended well, but said nothing of what it checked")
	case result.Check.Errors > 0:
		return failed(resticexport.CauseDamaged, "the repository has %d errors", result.Check.Errors)
	}
	return nil
}

// unlock removes stale locks and tells of those that remain.
func (m *mover) unlock(ctx context.Context, task *resticexport.Unlock, result *resticexport.Result) error {
	if err := m.restic.run(ctx, run{args: task.Command(), isLook: true}); err != nil {
		return err
	}
	var ids []string
	listing := &lines{each: func(line []byte) { ids = append(ids, string(line)) }}
	if err := m.restic.run(ctx, run{args: resticexport.LocksCommand, stdout: listing, isLook: true}); err != nil {
		return err
	}
	listing.flush()
	for _, id := range ids {
		var lock resticexport.ResticLock
		err := m.restic.look(ctx, resticexport.LockCommand(id), into(&lock))
		if ctx.Err() != nil {
			return err
		}
		if err == nil { // else it was removed in the meantime
			result.Locks = append(result.Locks, resticexport.Lock{Host: lock.Hostname, Time: lock.Time, Exclusive: lock.Exclusive})
		}
	}
	return nil
}

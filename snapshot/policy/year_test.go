package policy

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/retention"
)

var (
	seeds = flag.Int("seeds", 10, "years to simulate, each by a seed of its own")
	seed  = flag.Uint64("seed", 0, "the only seed to simulate, 0 for any")
)

// A year of a hundred policies: managers that die between making a backup and
// writing it down, that are away for hours, policies that are suspended and
// edited, applications that come and go, clocks that are put, ahead and back by
// weeks. Every backup that there should be is made, none is made twice, and nothing
// is removed that must stay.
func TestAYear(t *testing.T) {
	for i := range *seeds {
		s := *seed
		if s == 0 {
			s = rand.Uint64()
		}
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			t.Logf("go test ./snapshot/policy -run TestAYear -seeds=1 -seed=%d", s)
			for n := range 100 {
				y := aYear(t, rand.New(rand.NewPCG(s, uint64(n))))
				y.live()
				if t.Failed() {
					return
				}
			}
		})
	}
}

// year is one policy's.
type year struct {
	*testing.T
	*rand.Rand

	spec    *v1alpha1.SnapshotPolicySpec
	read    *Policy // nil where it was edited since
	created time.Time
	status  v1alpha1.SnapshotPolicyStatus // what is written
	apps    []Application
	now     time.Time
	// since is since when due times count, by what was done to the policy, and
	// joined for each application.
	since  time.Time
	joined map[Application]time.Time
	known  map[Application]known
	// seen is the latest moment that the clock has shown since it was put back by
	// more than moments, and put is when that was.
	seen, put time.Time
	// ahead is by how much it is ahead.
	ahead time.Duration

	// unwritten is what the manager knows and hasn't written.
	unwritten *Unwritten

	backups []*v1alpha1.VolumeBackup
	made    map[string]int
	dues    map[string]time.Time
	// ran is the newest due time that an application has a backup of, by whatever
	// schedule.
	ran     map[Application]time.Time
	removed map[string]bool
}

// known is what was counted to before: due times from a moment up to the newest.
type known struct{ from, newest time.Time }

var (
	yearsSchedules = []string{"0 2 * * *", "30 2 * * *", "@daily", "@hourly", "15 */6 * * *", "0 3 * * 0", "0 0 1 * *", "@every 5h", "@every 36h", "*/30 1-3 * * 1-5"}
	yearsZones     = []string{"Europe/Zurich", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/New_York", "Etc/UTC"}
)

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

func aYear(t *testing.T, r *rand.Rand) *year {
	start := time.Date(2011+r.IntN(20), time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60), 0, time.UTC)
	y := &year{
		T: t, Rand: r, created: start, now: start, since: start, seen: start,
		joined: map[Application]time.Time{}, known: map[Application]known{}, made: map[string]int{}, dues: map[string]time.Time{}, ran: map[Application]time.Time{}, removed: map[string]bool{}, unwritten: &Unwritten{},
		spec: &v1alpha1.SnapshotPolicySpec{
			Schedule: pick(r, yearsSchedules), TimeZone: pick(r, yearsZones), Concurrency: v1alpha1.ConcurrencyForbid,
			StartingDeadline: &metav1.Duration{Duration: time.Duration(1+r.IntN(300)) * time.Minute},
			Retention: v1alpha1.PolicyRetention{Snapshots: &v1alpha1.RetentionRules{
				KeepLast: int32(1 + r.IntN(4)), KeepDaily: int32(r.IntN(8)), KeepWeekly: int32(r.IntN(5)), KeepMonthly: int32(r.IntN(13)),
			}},
		},
	}
	if r.IntN(2) == 0 {
		y.spec.Jitter = &metav1.Duration{Duration: time.Duration(1+r.IntN(29)) * time.Minute}
	}
	for range 1 + r.IntN(2) {
		y.joins()
	}
	return y
}

func (y *year) joins() {
	a := app(v1alpha1.KindDeployment, fmt.Sprintf("app-%d", len(y.joined)))
	y.apps = append(y.apps, a)
	slices.SortFunc(y.apps, Application.Compare)
	y.joined[a] = y.now
}

func (y *year) policy() *Policy {
	if y.read != nil {
		return y.read
	}
	p, err := Read("shop", "nightly", y.created, y.spec)
	if err != nil {
		y.Fatal(err)
	}
	y.read = p
	return p
}

func (y *year) live() {
	y.look(false)
	for end := y.created.AddDate(1, 0, 0); y.now.Before(end) && !y.Failed(); {
		next := y.look(false)
		if y.finish(); y.IntN(4) == 0 { // their end wakes it
			next = y.look(false)
		}
		switch what := y.IntN(62); {
		case what < 45 && next.After(y.now): // all is well
			y.now = next
		case what < 50: // the manager dies between making and writing
			y.now = next
			y.look(true)
			y.unwritten = &Unwritten{}
			y.now = y.now.Add(time.Duration(y.IntN(120)) * time.Second)
		case what < 54: // it is away, mostly another one after that
			if y.IntN(4) > 0 {
				y.unwritten = &Unwritten{}
			}
			y.now = y.now.Add(time.Duration(y.IntN(5000)) * time.Minute)
		case what < 55: // the clock is put back a little
			if by := time.Duration(y.IntN(50)) * time.Second; y.seen.Sub(y.now.Add(-by)) > clockSlack {
				y.putBack(by) // several of them add up to what is noticed
			} else {
				y.now = y.now.Add(-by)
			}
		case what < 57: // suspended, or let go on, or edited, and seen at once
			y.edit()
		case what < 58 && len(y.joined) < 4:
			y.joins()
			y.look(false)
		case what == 60: // the clock is put ahead by up to three weeks
			by := time.Duration(y.IntN(21*24*60)) * time.Minute
			y.now, y.ahead = y.now.Add(by), y.ahead+by
		case what == 61: // it is put right again, or too far back
			y.putBack(y.ahead + time.Duration(2+y.IntN(24*60))*time.Minute)
		default: // something else wakes it
			y.now = y.now.Add(time.Duration(y.Int64N(int64(max(next.Sub(y.now), time.Second)))))
		}
	}
}

// putBack has due times count from now on, where they were to count from later.
// One that was dealt with is due again when it comes, unless its backup is there.
func (y *year) putBack(by time.Duration) {
	y.now, y.ahead = y.now.Add(-by), 0
	y.put, y.seen = y.now, y.now
	earlier := func(a, b time.Time) time.Time { return slices.MinFunc([]time.Time{a, b}, time.Time.Compare) }
	y.since = earlier(y.since, y.now)
	for _, a := range y.apps {
		y.joined[a] = earlier(y.joined[a], y.now)
		if y.ran[a].After(y.now) {
			delete(y.ran, a)
		}
	}
	for name, due := range y.dues {
		if due.After(y.now) && !y.isThere(name) {
			delete(y.made, name)
		}
	}
	if y.IntN(2) == 0 {
		y.unwritten = &Unwritten{}
	}
	y.look(false)
}

func (y *year) edit() {
	if y.IntN(2) == 0 {
		y.spec.Suspend = !y.spec.Suspend
	} else {
		before := y.spec.Schedule
		if y.spec.Schedule = pick(y.Rand, yearsSchedules); y.spec.Schedule == before {
			return
		}
	}
	y.since, y.read = y.now, nil
	clear(y.known) // it is of the schedule before
	y.look(false)
}

// look is one reconcile. One that dies has made backups, and writes nothing.
func (y *year) look(dies bool) (next time.Time) {
	s := &State{Policy: y.policy(), Status: y.status.DeepCopy(), Applications: y.apps, Backups: y.backups, Unwritten: y.unwritten, Now: y.now}
	s.Observe()
	due := s.Due()
	y.seen = latest(y.seen, y.now)
	y.check(s, due)
	made := map[Application]string{}
	for _, run := range due.Runs {
		name := BackupName(s.Name, run.Application, run.Due)
		made[run.Application] = name
		y.make(NewBackup(s.Policy, run.Application, name, &run.Due))
		y.ran[run.Application] = latest(run.Due, y.ran[run.Application])
	}
	if dies {
		return y.now
	}
	s.Dealt(due, made)
	y.remove(s)
	s.Report()
	if s.MayWait(&y.status) == 0 {
		y.status = *s.Status
	}
	if due.Next.IsZero() || !due.Next.After(y.now) {
		return y.now.Add(time.Hour)
	}
	return due.Next
}

func (y *year) make(b *v1alpha1.VolumeBackup) {
	if y.isThere(b.Name) {
		return // already exists
	}
	b.CreationTimestamp = metav1.NewTime(y.now)
	y.backups = append(y.backups, b)
	y.dues[b.Name] = DueTime(b)
	if y.made[b.Name]++; y.made[b.Name] > 1 {
		y.Errorf("%s is made again at %s", b.Name, y.now)
	}
}

func (y *year) isThere(name string) bool {
	return slices.ContainsFunc(y.backups, func(b *v1alpha1.VolumeBackup) bool { return b.Name == name })
}

// finish ends what goes on, mostly well.
func (y *year) finish() {
	for _, b := range y.backups {
		if IsComplete(b) || HasFailed(b) || y.IntN(8) == 0 {
			continue
		}
		condition := v1alpha1.ConditionComplete
		if y.IntN(10) == 0 {
			condition = v1alpha1.ConditionFailed
		}
		b.Status.Conditions = []metav1.Condition{{Type: condition, Status: metav1.ConditionTrue}}
		at := metav1.NewTime(y.now)
		b.Status.CompletionTime, b.Status.Consistency = &at, pick(y.Rand, []v1alpha1.Consistency{v1alpha1.Proven, v1alpha1.Crash})
	}
}

// check holds what is due against all due times, gone through one by one.
func (y *year) check(s *State, due Due) {
	runs := map[Application]time.Time{}
	for _, run := range due.Runs {
		runs[run.Application] = run.Due
	}
	for _, a := range y.apps {
		newest := y.newestDue(s, a, y.now)
		// A newer one was dealt with, by this schedule or, where the clock was put
		// back and the schedule edited in between, by the one before.
		isPast := !newest.Equal(y.newestDue(s, a, y.seen)) || y.ran[a].After(newest)
		late := y.now.Sub(newest.Add(s.Offset(a)))
		isMade := y.made[BackupName(s.Name, a, newest)] > 0
		isBeforePut := !newest.After(y.put.Add(clockSlack))
		waits := s.results[a].Running != nil
		run, isRun := runs[a]
		switch {
		case isRun && (newest.IsZero() || !run.Equal(newest)):
			y.Errorf("%s at %s: runs for %s, but %s is due", a.Ref.Name, y.now, run, newest)
		case isRun && (y.spec.Suspend || late > s.Deadline() || late < 0):
			y.Errorf("%s at %s: runs for %s, which it must not", a.Ref.Name, y.now, run)
		case !isRun && !newest.IsZero() && !isMade && !isPast && !isBeforePut && !y.spec.Suspend && y.seen.Sub(newest.Add(s.Offset(a))) <= s.Deadline() && !waits:
			y.Errorf("%s at %s: %s is due and lost: %+v", a.Ref.Name, y.now, newest, due)
		}
	}
}

// newestDue is the newest due time of an application that counts, zero for none:
// each from where it begins, without a look at what was written.
func (y *year) newestDue(s *State, a Application, until time.Time) (newest time.Time) {
	from := latest(y.since, y.joined[a]).Truncate(time.Second)
	if known := y.known[a]; known.from.Equal(from) && !known.newest.Add(s.Offset(a)).After(until) {
		from, newest = known.newest, known.newest
	}
	for at := s.Schedule.Next(from); !at.Add(s.Offset(a)).After(until); at = s.Schedule.Next(at) {
		newest = at
	}
	if !newest.IsZero() {
		y.known[a] = known{from: latest(y.since, y.joined[a]).Truncate(time.Second), newest: newest}
	}
	return newest
}

func (y *year) remove(s *State) {
	removal := s.Removal(nil)
	gone := removal.Failed
	if removal.Held == "" {
		gone = append(gone, removal.Complete...)
		s.Removed(len(removal.Complete))
	}
	for _, b := range gone {
		if r := s.results[ApplicationOf(b)]; b == r.Complete || DueTime(b).After(y.now) || !IsComplete(b) && !HasFailed(b) {
			y.Errorf("%s goes, which must stay", b.Name)
		}
		y.removed[b.Name] = true
	}
	y.backups = slices.DeleteFunc(y.backups, func(b *v1alpha1.VolumeBackup) bool { return slices.Contains(gone, b) })
	if removal.Held == "" && len(gone) > 0 {
		y.isKept(s)
	}
}

// isKept holds what is left against the rules: they keep all of it.
func (y *year) isKept(s *State) {
	for _, own := range byApplication(y.backups) {
		complete, _ := ended(until(y.now, own))
		var history []retention.Backup
		for _, b := range complete {
			history = append(history, retention.Backup{Name: b.Name, At: DueTime(b), IsProven: b.Status.Consistency == v1alpha1.Proven})
		}
		if _, surplus := s.Rules.Split(history, s.Zone, y.now); len(surplus) > 0 {
			y.Errorf("%v should be gone at %s", surplus, y.now)
		}
	}
}

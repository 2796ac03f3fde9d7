package policy

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// longestUnwritten is how long runs may go on before the status tells of them.
const longestUnwritten = 30 * time.Minute

// Unwritten are runs that were made and that a policy's status doesn't tell of
// yet: it is written once a run, when the backups have ended. Names have whoever
// knows nothing of them make none twice.
type Unwritten struct {
	// Since is when the first of them was made.
	Since time.Time
	// Runs are the newest, one of each application: mostly there is one, and a map
	// takes ten times the memory.
	Runs []MadeRun
}

// MadeRun is a run whose backup was made.
type MadeRun struct {
	Application Application
	Due         time.Time
	Name        string
}

// note adds a run.
func (u *Unwritten) note(run MadeRun, now time.Time) {
	if len(u.Runs) == 0 {
		u.Since = now
	}
	u.forget(func(other MadeRun) bool { return other.Application == run.Application })
	u.Runs = append(u.Runs, run)
}

func (u *Unwritten) forget(is func(MadeRun) bool) { u.Runs = slices.DeleteFunc(u.Runs, is) }

// noteMade has the rows tell of runs that the status doesn't tell of: of those of
// this manager and, by the backups that there are, of those of one that died. One
// that was made while the clock was ahead may be of a schedule that was edited since.
func (s *State) noteMade() {
	s.Unwritten.forget(func(run MadeRun) bool { return s.rows[run.Application] == nil || !s.dealtWith(run) })
	for app, results := range s.results {
		b := results.Scheduled
		if b == nil || s.rows[app] == nil {
			continue
		}
		due := DueTime(b)
		isNews := due.After(timeOf(s.rows[app].LastScheduleTime)) && !due.Add(s.Offset(app)).After(s.Now)
		if isNews && IsNamed(b.Name, s.Name, app, due) && s.Schedule.IsDue(due) {
			s.dealtWith(MadeRun{Application: app, Due: due, Name: b.Name})
		}
	}
}

// dealtWith notes a run. It is false where a run of then or later is known.
func (s *State) dealtWith(run MadeRun) bool {
	row := s.rows[run.Application]
	if !run.Due.After(timeOf(row.LastScheduleTime)) {
		return false
	}
	row.LastScheduleTime, row.LastBackup = newTime(run.Due), run.Name
	s.Status.LastScheduleTime = newTime(latest(run.Due, timeOf(s.Status.LastScheduleTime)))
	return true
}

// MayWait is how long the status may stay as it is written, zero where it tells
// too little: it waits for runs that go on, and for nothing else.
func (s *State) MayWait(written *v1alpha1.SnapshotPolicyStatus) time.Duration {
	if !s.goesOn() || !tellsButOfRuns(written, s.Status) {
		return 0
	}
	left := s.Unwritten.Since.Add(longestUnwritten).Sub(s.Now)
	return min(max(0, left), longestUnwritten) // a clock may be put back
}

// goesOn is true where one of the runs was just made, its backup hasn't ended, or
// an application comes later in the window of the jitter.
func (s *State) goesOn() bool {
	if len(s.made) > 0 {
		return true
	}
	for _, run := range s.Unwritten.Runs {
		if running := s.results[run.Application].Running; running != nil && running.Name == run.Name {
			return true
		}
	}
	newest := timeOf(s.Status.LastScheduleTime)
	return len(s.Unwritten.Runs) > 0 && slices.ContainsFunc(s.Applications, func(app Application) bool {
		return s.doneUntil(app).Before(newest) && s.Now.Before(newest.Add(s.Offset(app)))
	})
}

// tellsButOfRuns is true where one status says what the other does, but for runs
// that were made since.
func tellsButOfRuns(written, now *v1alpha1.SnapshotPolicyStatus) bool {
	a, b := written.DeepCopy(), now.DeepCopy()
	if b.Removal != nil && b.Removal.Removed == 0 {
		a.Removal, b.Removal = nil, nil // it counts anew with each run
	}
	for _, s := range []*v1alpha1.SnapshotPolicyStatus{a, b} {
		s.LastScheduleTime, s.NextScheduleTime, s.DoneUntil = nil, nil, nil
		for i := range s.Applications {
			row := &s.Applications[i]
			row.LastScheduleTime, row.NextScheduleTime, row.LastBackup, row.WaitingFor = nil, nil, "", ""
		}
	}
	return equality.Semantic.DeepEqual(a, b)
}

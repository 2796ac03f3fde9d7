package policy

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// State is a policy and what there is of it at one moment. Its status is what
// was known before, and is changed to what is known then: whoever writes it has
// all that the next one needs.
type State struct {
	*Policy
	Status *v1alpha1.SnapshotPolicyStatus
	// Applications in order, see Select.
	Applications []Application
	// OfCluster are those that the policy of the cluster with its name has in its
	// namespace, without its own.
	OfCluster []Application
	// Backups that count in the policy and aren't being deleted.
	Backups []*v1alpha1.VolumeBackup
	// Unwritten are runs that the status doesn't tell of yet. Those that are made
	// now are added.
	Unwritten *Unwritten
	Now       time.Time
	// Ahead is the latest time that was known of and is still to come, zero for
	// none: the clock was ahead when it was noted.
	Ahead time.Time

	// made are the names of the backups that were made now.
	made map[Application]string
	// waits are the backups that runs wait for.
	waits map[Application]string
	// rows are what the status tells of each application, all of them.
	rows    map[Application]*v1alpha1.PolicyApplicationStatus
	results map[Application]Results
}

// Observe notes what is new of the schedule and of the applications: neither is
// due for what was before.
func (s *State) Observe() {
	s.results = ResultsOf(s.Backups, s.Now)
	s.noteClock()
	s.noteSchedule()
	s.noteApplications()
	s.noteMade()
}

func (s *State) noteSchedule() {
	seen, spec := s.Status.Seen, s.Spec
	if seen == nil || seen.Schedule != spec.Schedule || seen.TimeZone != spec.TimeZone || seen.Suspended != spec.Suspend {
		s.Status.Seen = &v1alpha1.SeenSchedule{
			Schedule: spec.Schedule, TimeZone: spec.TimeZone, Suspended: spec.Suspend, Since: metav1.NewMicroTime(s.Now),
		}
	}
}

// Due is what there is to make. A policy that is suspended makes nothing.
func (s *State) Due() Due {
	if s.Spec.Suspend {
		return Due{}
	}
	var histories []History
	for _, app := range s.Applications {
		h := History{Application: app, DealtWith: latest(s.Status.Seen.Since.Time, s.doneUntil(app))}
		if running := s.results[app].Running; running != nil {
			h.Running = running.Name
		}
		histories = append(histories, h)
	}
	return s.Since(histories, s.Now)
}

// doneUntil is until when an application has nothing due any more.
func (s *State) doneUntil(app Application) time.Time {
	row := s.rows[app]
	return latest(timeOf(row.Since), timeOf(row.LastScheduleTime))
}

// Dealt notes what became of what was due: made, by names, and missed. It comes
// back with a sentence for each application that missed its newest run.
func (s *State) Dealt(due Due, made map[Application]string) (missed []string) {
	s.made, s.waits = made, due.Waits
	for app, at := range due.DealtWith {
		row := s.rows[app]
		row.LastScheduleTime = newTime(at)
		s.Status.LastScheduleTime = newTime(latest(at, timeOf(s.Status.LastScheduleTime)))
		if name := made[app]; name != "" {
			row.LastBackup = name
			s.Unwritten.note(MadeRun{Application: app, Due: at, Name: name}, s.Now)
		}
	}
	for _, m := range due.Missed {
		row := s.rows[m.Application]
		row.Message = shortened(fmt.Sprintf("the run of %s was missed: %s", m.Due.UTC().Format(time.RFC3339), m.Why))
		missed = append(missed, fmt.Sprintf("%s: %s", s.Called(m.Application), row.Message))
	}
	s.Status.MissedRuns += int64(due.Count)
	return missed
}

// Counts is true for a backup that carries the policy's name and is its: one of a
// policy of the cluster says so; any other is the policy's whose application it is
// of. Where that is in neither, the policy of the namespace has it.
func (s *State) Counts(b *v1alpha1.VolumeBackup) bool {
	isOfCluster := b.Labels[v1alpha1.LabelPolicyScope] == v1alpha1.PolicyScopeCluster
	if !s.IsOfCluster() {
		return !isOfCluster && !contains(s.OfCluster, ApplicationOf(b))
	}
	return isOfCluster || contains(s.Applications, ApplicationOf(b))
}

// contains is true for one of the applications, which are in order.
func contains(applications []Application, app Application) bool {
	_, is := slices.BinarySearchFunc(applications, app, Application.Compare)
	return is
}

// Called is an application as people know it.
func (s *State) Called(app Application) string {
	return string(app.Ref.Kind) + " " + s.Qualified(app.Namespace, app.Ref.Name)
}

// Qualified is a name as the status of the policy has it.
func (s *State) Qualified(namespace, name string) string {
	if s.IsOfCluster() {
		return namespace + "/" + name
	}
	return name
}

// Removal is what goes, and the count of it: it begins anew with a new run.
func (s *State) Removal(inUse map[string]bool) Removal {
	run := s.Status.LastScheduleTime
	switch count := s.Status.Removal; {
	case run == nil:
	case count == nil:
		s.Status.Removal = &v1alpha1.RemovalStatus{Run: *run}
	case !count.Run.Equal(run):
		s.Status.Removal = &v1alpha1.RemovalStatus{Run: *run, Before: count.Removed}
	}
	if s.Spec.Suspend {
		return Removal{}
	}
	count := s.Status.Removal
	return s.Remove(s.Backups, inUse, count != nil && count.Removed+count.Before > 0, s.Now)
}

// Removed notes how many complete backups go.
func (s *State) Removed(n int) {
	if s.Status.Removal != nil {
		s.Status.Removal.Removed += int32(n) //nolint:gosec // they are backups of one policy
	}
}

// Report tells what is known of each application. It comes back with those whose
// last run gave no backup.
func (s *State) Report() (failing []string) {
	for _, app := range s.Applications {
		row := s.rows[app]
		s.reportApplication(row, app)
		if row.Message != "" {
			failing = append(failing, s.Called(app))
		}
		s.Status.LastSuccessTime = newTime(latest(timeOf(s.Status.LastSuccessTime), s.results[app].Succeeded()))
	}
	s.reportRows()
	s.Status.NextScheduleTime = nil
	if !s.Spec.Suspend {
		s.Status.NextScheduleTime = newTime(s.Schedule.Next(s.Now))
	}
	return failing
}

func (s *State) reportApplication(row *v1alpha1.PolicyApplicationStatus, app Application) {
	r, last := s.results[app], timeOf(row.LastScheduleTime)
	if r.Last != nil && !DueTime(r.Last).Before(last) {
		row.LastBackup = r.Last.Name
	}
	if r.Complete != nil {
		row.LastConsistency = r.Complete.Status.Consistency
		row.LastSuccessTime = newTime(latest(timeOf(row.LastSuccessTime), r.Succeeded()))
	}
	if r.Ended != nil && !DueTime(r.Ended).Before(latest(last, s.refusedAt(app))) {
		row.Message = shortened(r.Failure())
	}
	row.WaitingFor = s.waits[app]
	row.NextScheduleTime = nil
	if !s.Spec.Suspend {
		offset := s.Offset(app)
		row.NextScheduleTime = newTime(s.Schedule.Next(s.Now.Add(-offset)).Add(offset))
	}
}

// shortened is what a row has room for.
func shortened(text string) string { return names.Clip(text, maxRowMessage) }

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func newTime(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	at := metav1.NewTime(t)
	return &at
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

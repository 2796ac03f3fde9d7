package policy

import (
	"slices"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
)

// maxRowMessage bounds what a status says of one application, in bytes, and fewRows
// are always told of: they have room whatever they say.
const (
	maxRowMessage = 512
	fewRows       = 50
)

// noteApplications has a row for each application. Those that had one keep it.
func (s *State) noteApplications() {
	before := map[Application]*v1alpha1.PolicyApplicationStatus{}
	for i := range s.Status.Applications {
		row := s.Status.Applications[i]
		before[s.applicationOf(&row)] = &row
	}
	s.rows = map[Application]*v1alpha1.PolicyApplicationStatus{}
	for _, app := range s.Applications {
		if s.rows[app] = before[app]; s.rows[app] == nil {
			s.rows[app] = s.newRow(app)
		}
	}
}

// newRow is that of an application that had none: it came just now or, where there
// are more of them than rows, may have been there.
func (s *State) newRow(app Application) *v1alpha1.PolicyApplicationStatus {
	row := &v1alpha1.PolicyApplicationStatus{Kind: app.Ref.Kind, Name: app.Ref.Name, Since: newTime(s.Now)}
	if int(s.Status.ApplicationCount) > len(s.Status.Applications) {
		row.Since = nil
		if at := s.Status.DoneUntil; at != nil {
			row.Since = newTime(at.Add(-s.Offset(app)))
		}
	}
	if s.IsOfCluster() {
		row.Namespace = app.Namespace
	}
	return row
}

func (s *State) applicationOf(row *v1alpha1.PolicyApplicationStatus) Application {
	namespace := s.Namespace
	if row.Namespace != "" {
		namespace = row.Namespace
	}
	return Application{Namespace: namespace, Ref: v1alpha1.ApplicationReference{Kind: row.Kind, Name: row.Name}}
}

// reportRows tells of the applications, of as many as the status has room for.
func (s *State) reportRows() {
	for most := limits.Rows; ; most /= 2 {
		s.reportMost(most)
		if len(s.Status.Applications) <= fewRows || limits.Bytes(s.Status) <= limits.ObjectBytes {
			return
		}
	}
}

// reportMost tells of so many applications, where there are more: first of those that
// have something open, then of those that something is said of. Of the others one
// moment tells until when all of theirs is dealt with.
func (s *State) reportMost(most int) {
	told := s.Applications
	s.Status.DoneUntil = nil
	if len(told) > most {
		rank := map[Application]int{}
		for _, app := range told {
			rank[app] = s.rank(app)
		}
		sorted := slices.SortedStableFunc(slices.Values(told), func(a, b Application) int { return rank[a] - rank[b] })
		s.Status.DoneUntil = newTime(s.allDoneUntil(sorted[most:]))
		told = sorted[:most]
		slices.SortFunc(told, Application.Compare)
	}
	s.Status.Applications = nil
	for _, app := range told {
		s.Status.Applications = append(s.Status.Applications, *s.rows[app])
	}
	s.Status.ApplicationCount = int32(len(s.Applications)) //nolint:gosec // they are applications of one policy
}

func (s *State) rank(app Application) int {
	switch {
	case s.isOpen(app):
		return 0
	case s.rows[app].Message != "":
		return 1
	}
	return 2
}

// isOpen is true where a run is due and not dealt with, or where the moment of the
// last one, or of its coming, is still ahead by the application's part of the
// jitter.
func (s *State) isOpen(app Application) bool {
	if s.Spec.Suspend {
		return false
	}
	offset, done := s.Offset(app), s.doneUntil(app)
	_, isDue := s.Schedule.Last(latest(s.Status.Seen.Since.Time, done), s.Now.Add(-offset))
	return isDue || done.Add(offset).After(s.Now)
}

// allDoneUntil is the moment until which everything is dealt with that fell due
// for the applications, each by its own part of the jitter.
func (s *State) allDoneUntil(applications []Application) time.Time {
	var newest time.Time
	oldest := s.Now
	for _, app := range applications {
		at := s.doneUntil(app).Add(s.Offset(app))
		newest = latest(newest, at)
		if s.isOpen(app) && at.Before(oldest) {
			oldest = at
		}
	}
	if newest.Before(oldest) {
		return newest
	}
	return oldest
}

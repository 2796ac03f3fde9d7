package policy

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// clockSlack is by how much a clock may be put back unnoticed: no schedule is due
// more often, so that no other due time lies between now and one that far ahead.
const clockSlack = time.Minute

// noteClock forgets what is known of a time that is still to come: the clock was
// ahead when it was noted. It would keep the policy from running until then; so
// due times count from now on. A backup that was made for one of them stays, and
// is found when that comes.
func (s *State) noteClock() {
	status := s.Status
	if seen := status.Seen; seen != nil && s.isAhead(&metav1.Time{Time: seen.Since.Time}) {
		seen.Since = metav1.NewMicroTime(s.Now)
	}
	for i := range status.Applications {
		s.noteClockIn(&status.Applications[i])
	}
	if s.isAhead(status.LastScheduleTime) {
		status.LastScheduleTime = nil
	}
	if s.isAhead(status.DoneUntil) {
		status.DoneUntil = newTime(s.Now)
	}
	status.LastSuccessTime = s.unlessAhead(status.LastSuccessTime)
	s.Unwritten.forget(func(run MadeRun) bool { return run.Due.After(s.Now.Add(clockSlack)) })
}

func (s *State) noteClockIn(row *v1alpha1.PolicyApplicationStatus) {
	isRunAhead := s.isAhead(row.LastScheduleTime)
	if isRunAhead {
		row.LastScheduleTime = nil
	}
	if s.isAhead(row.Since) || isRunAhead {
		row.Since = newTime(s.Now)
	}
	row.LastSuccessTime = s.unlessAhead(row.LastSuccessTime)
}

// isAhead is true for a time that is still to come, and notes it.
func (s *State) isAhead(at *metav1.Time) bool {
	if s.unlessAhead(at) == at {
		return false
	}
	s.Ahead = latest(s.Ahead, at.Time)
	return true
}

func (s *State) unlessAhead(at *metav1.Time) *metav1.Time {
	if at != nil && at.After(s.Now.Add(clockSlack)) {
		return nil
	}
	return at
}

// until are the backups that were due by a moment. One that was made while the
// clock was ahead counts once its time has come.
func until(now time.Time, backups []*v1alpha1.VolumeBackup) (due []*v1alpha1.VolumeBackup) {
	for _, b := range backups {
		if !DueTime(b).After(now) {
			due = append(due, b)
		}
	}
	return due
}

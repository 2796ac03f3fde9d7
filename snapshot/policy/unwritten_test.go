package policy

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A status waits for the runs that go on, for no longer than ten minutes, and not
// where there is more to tell.
func TestHowLongAStatusMayWait(t *testing.T) {
	one, other := app(v1alpha1.KindDeployment, "one"), app(v1alpha1.KindDeployment, "other")
	p := nightly(t, func(s *v1alpha1.SnapshotPolicySpec) {
		s.TimeZone, s.Jitter = "Etc/UTC", &metav1.Duration{Duration: time.Hour}
	})
	if p.Offset(one) > p.Offset(other) {
		one, other = other, one
	}
	two := time.Date(2025, 11, 26, 2, 0, 0, 0, time.UTC)
	at := two.Add(p.Offset(one))
	name := BackupName(p.Name, one, two)
	backup := func(ended bool) *v1alpha1.VolumeBackup {
		b := NewBackup(p, one, name, &two)
		if ended {
			b.Status.Consistency = v1alpha1.Crash
			b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
		}
		return b
	}
	// look is one at the status as it was written before the run, once the run of
	// the first application is made or known to be.
	look := func(apps []Application, now time.Time, makes bool, backups ...*v1alpha1.VolumeBackup) (*State, *v1alpha1.SnapshotPolicyStatus) {
		written := &v1alpha1.SnapshotPolicyStatus{}
		before := &State{Policy: p, Status: written, Applications: apps, Unwritten: &Unwritten{}, Now: two.Add(-time.Hour)}
		before.Observe()
		before.Report()
		s := &State{Policy: p, Status: written.DeepCopy(), Applications: apps, Backups: backups, Unwritten: &Unwritten{}, Now: now}
		if !makes {
			s.Unwritten.note(MadeRun{Application: one, Due: two, Name: name}, at)
		}
		s.Observe()
		due := s.Due()
		if makes != (len(due.Runs) == 1) {
			t.Fatalf("at %s due is %v", now, due.Runs)
		}
		made := map[Application]string{}
		if makes {
			made[one] = name
		}
		s.Dealt(due, made)
		s.Report()
		return s, written
	}
	alone, both := []Application{one}, []Application{one, other}
	for what, c := range map[string]struct {
		apps    []Application
		at      time.Time
		makes   bool
		backups []*v1alpha1.VolumeBackup
		want    time.Duration
	}{
		"it was just made":         {alone, at, true, nil, longestUnwritten},
		"it goes on":               {alone, at.Add(time.Minute), false, []*v1alpha1.VolumeBackup{backup(false)}, longestUnwritten - time.Minute},
		"it goes on for too long":  {alone, at.Add(longestUnwritten), false, []*v1alpha1.VolumeBackup{backup(false)}, 0},
		"it has ended":             {alone, at.Add(time.Minute), false, []*v1alpha1.VolumeBackup{backup(true)}, 0},
		"a person has deleted it":  {alone, at.Add(time.Minute), false, nil, 0},
		"another one's is to come": {both, at.Add(time.Second), false, nil, longestUnwritten - time.Second},
		"another one's tells more": {both, at.Add(time.Second), false, []*v1alpha1.VolumeBackup{backup(true)}, 0},
	} {
		s, written := look(c.apps, c.at, c.makes, c.backups...)
		if got := s.MayWait(written); got != c.want {
			t.Errorf("%s: it may wait for %s, want %s", what, got, c.want)
		}
	}
	s, written := look(alone, at, true)
	s.Status.MissedRuns++
	if got := s.MayWait(written); got != 0 {
		t.Errorf("a missed run may wait for %s", got)
	}
}

// What an earlier manager made is known by its backup, and no other is taken for
// it: of another name, or due later than now.
func TestRunsOfAnEarlierManager(t *testing.T) {
	p := nightly(t, func(s *v1alpha1.SnapshotPolicySpec) { s.TimeZone = "Etc/UTC" })
	db, two := app(v1alpha1.KindDeployment, "db"), time.Date(2025, 11, 26, 2, 0, 0, 0, time.UTC)
	for what, c := range map[string]struct {
		due    time.Time
		rename string
		want   bool
	}{
		"of then":         {two, "", true},
		"of another name": {two, "copied", false},
		"due later":       {two.AddDate(0, 0, 2), "", false},
	} {
		b := NewBackup(p, db, BackupName(p.Name, db, c.due), &c.due)
		if c.rename != "" {
			b.Name = c.rename
		}
		s := &State{
			Policy: p, Status: &v1alpha1.SnapshotPolicyStatus{}, Applications: []Application{db},
			Backups: []*v1alpha1.VolumeBackup{b}, Unwritten: &Unwritten{}, Now: two.Add(time.Hour),
		}
		s.Observe()
		if got := s.Status.LastScheduleTime != nil; got != c.want {
			t.Errorf("%s: the last run is told as %v", what, s.Status.LastScheduleTime)
		}
	}
}

package policy

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// What was noted while the clock was ahead keeps nobody from running, and by a
// moment it may be ahead.
func TestWhatIsKnownOfATimeToCome(t *testing.T) {
	db := app(v1alpha1.KindDeployment, "db")
	for what, c := range map[string]struct {
		ahead time.Duration
		runs  bool
	}{
		"by a year":        {365 * 24 * time.Hour, true},
		"by two days":      {48 * time.Hour, true},
		"by half a minute": {14*time.Hour + 30*time.Second, false},
	} {
		at := metav1.NewTime(now.Add(c.ahead))
		status := &v1alpha1.SnapshotPolicyStatus{
			Seen:             &v1alpha1.SeenSchedule{Schedule: "0 2 * * *", Since: metav1.NewMicroTime(now.AddDate(0, 0, -1))},
			LastScheduleTime: &at, LastSuccessTime: &at, ApplicationCount: 1,
			Applications: []v1alpha1.PolicyApplicationStatus{{Kind: db.Ref.Kind, Name: db.Ref.Name, LastScheduleTime: &at, LastSuccessTime: &at}},
		}
		look := func(at time.Time) Due {
			s := &State{Policy: nightly(t, nil), Status: status, Applications: []Application{db}, Unwritten: &Unwritten{Runs: []MadeRun{{Application: db, Due: now.Add(c.ahead)}}}, Now: at}
			s.Observe()
			due := s.Due()
			s.Report()
			return due
		}
		two := now.Add(14 * time.Hour)
		early := now
		if !c.runs {
			early = two.Add(-time.Millisecond) // it was put back by a moment
		}
		if due := look(early); len(due.Runs)+len(due.Missed)+due.Count > 0 {
			t.Errorf("%s: at once there is %+v", what, due)
		}
		if due := look(two); (len(due.Runs) == 1) != c.runs || due.Count > 0 {
			t.Errorf("%s: when it is due there is %+v", what, due)
		}
		if c.runs && (status.LastSuccessTime != nil || status.Applications[0].LastSuccessTime != nil) {
			t.Errorf("%s: it succeeded at %s", what, status.LastSuccessTime)
		}
	}
}

// A backup that was made while the clock was ahead takes nobody's place: neither
// in what is told nor in what is kept.
func TestABackupOfATimeToCome(t *testing.T) {
	db := app(v1alpha1.KindDeployment, "db")
	all := append(ofDays("db", 3, v1alpha1.ConditionComplete), ofDays("ahead", 1, v1alpha1.ConditionComplete)...)
	ahead := all[3]
	ahead.Spec.ApplicationRef = all[0].Spec.ApplicationRef
	ahead.Annotations[v1alpha1.AnnotationScheduledAt] = now.AddDate(1, 0, 0).Format(time.RFC3339)
	all[0].Status.Conditions[0].Type = v1alpha1.ConditionFailed
	p := nightly(t, func(s *v1alpha1.SnapshotPolicySpec) {
		s.Retention.Snapshots, s.History.Failed = &v1alpha1.RetentionRules{KeepLast: 1}, new(int32)
	})
	if r := ResultsOf(all, now)[db]; r.Last != all[0] || r.Ended != all[0] || r.Complete != all[1] {
		t.Errorf("it is told of %+v", r)
	}
	if r := p.Remove(all, nil, false, now); len(r.Complete) != 1 || r.Complete[0] != all[2] || len(r.Failed) != 1 || r.Failed[0] != all[0] {
		t.Errorf("%v and %v go", namesOf(r.Complete), namesOf(r.Failed))
	}
}

package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
)

// many are more applications than a status has rows for.
func many(n int) (all []Application) {
	for i := range n {
		all = append(all, app(v1alpha1.KindDeployment, fmt.Sprintf("app-%04d", i)))
	}
	return all
}

// Of more applications than rows, what was missed is counted once: while one of
// them waits, through all of a window of jitter, and by another manager.
func TestWhatHasNoRowIsDealtWithOnce(t *testing.T) {
	for _, jitter := range []time.Duration{0, 20 * time.Minute} {
		p := nightly(t, func(s *v1alpha1.SnapshotPolicySpec) {
			s.Schedule, s.Jitter = "@hourly", &metav1.Duration{Duration: jitter}
		})
		apps, status := many(600), &v1alpha1.SnapshotPolicyStatus{}
		hung := NewBackup(p, apps[0], "by-hand", nil)
		hung.CreationTimestamp = metav1.NewTime(now)
		refused := map[Application]int{}
		for minute := 30; minute < 115; minute++ {
			s := &State{Policy: p, Status: status.DeepCopy(), Applications: apps, Backups: []*v1alpha1.VolumeBackup{hung}, Unwritten: &Unwritten{}, Now: now.Add(time.Duration(minute) * time.Minute)}
			s.Observe()
			due := s.Due()
			for _, run := range due.Runs {
				due.Refused(run, errors.New("exceeded quota"))
				refused[run.Application]++
			}
			s.Dealt(due, nil)
			s.Report()
			status = s.Status
		}
		for _, a := range apps[1:] {
			if refused[a] != 1 {
				t.Fatalf("jitter %s: %s is refused %d times", jitter, a.Ref.Name, refused[a])
			}
		}
		if row := status.Applications[0]; row.Name != apps[0].Ref.Name || row.WaitingFor != "by-hand" || len(status.Applications) != limits.Rows {
			t.Errorf("jitter %s: of %d rows the first is %+v", jitter, len(status.Applications), row)
		}
	}
}

// Rows are in order, and none is moved about while nothing happens.
func TestRowsAtRest(t *testing.T) {
	p, status := nightly(t, nil), &v1alpha1.SnapshotPolicyStatus{}
	look := func(at time.Time) *v1alpha1.SnapshotPolicyStatus {
		s := &State{Policy: p, Status: status.DeepCopy(), Applications: many(700), Unwritten: &Unwritten{}, Now: at}
		s.Observe()
		s.Dealt(s.Due(), nil)
		s.Report()
		return s.Status
	}
	status = look(now)
	status = look(now.Add(14 * time.Hour))
	again := look(now.Add(20 * time.Hour))
	if before, after := toText(t, status), toText(t, again); before != after {
		t.Errorf("the status changes from\n%s to\n%s", before, after)
	}
	if !slices.IsSortedFunc(again.Applications, func(a, b v1alpha1.PolicyApplicationStatus) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the rows aren't in order")
	}
}

// The largest status fits into an object: it tells of fewer applications where they
// take more room, and none of the others has a run twice.
func TestAStatusFits(t *testing.T) {
	p := nightly(t, nil)
	s := &State{Policy: p, Status: &v1alpha1.SnapshotPolicyStatus{}, Unwritten: &Unwritten{}, Now: now}
	for i := range limits.Rows {
		a := app(v1alpha1.KindDeployment, fmt.Sprintf("%0253d", i))
		s.Applications = append(s.Applications, a)
		b := NewBackup(p, a, BackupName(p.Name, a, now), &now)
		b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue}}
		b.Status.Message = strings.Repeat("<", 2048) // as JSON it takes six times as much
		s.Backups = append(s.Backups, b)
	}
	s.Status.MassDeletion = &v1alpha1.MassDeletionStatus{Backups: slices.Repeat([]string{strings.Repeat("b", 253)}, limits.Names)}
	s.Observe()
	s.RunsNow(strings.Repeat("1", 200<<10))
	for _, a := range s.Applications {
		s.RefusedNow(a, errors.New(strings.Repeat("<", 4096)))
	}
	s.Report()
	rows := len(s.Status.Applications)
	if size := limits.Bytes(s.Status); size > limits.ObjectBytes || rows < fewRows || rows == limits.Rows {
		t.Errorf("with %d rows it has %d bytes", rows, size)
	}
	again := &State{Policy: p, Status: s.Status.DeepCopy(), Applications: s.Applications, Unwritten: &Unwritten{}, Now: now.Add(time.Minute)}
	again.Observe()
	if due := again.Due(); len(due.Runs) > 0 || due.Count > 0 {
		t.Errorf("due again are %d, missed %d", len(due.Runs), due.Count)
	}
}

// A value that a person asks by is known again, however long it is.
func TestALongValueRunsOnce(t *testing.T) {
	s := &State{Policy: nightly(t, nil), Status: &v1alpha1.SnapshotPolicyStatus{}, Now: now}
	long, longer := strings.Repeat("x", 100<<10), strings.Repeat("x", 100<<10)+"y"
	if runs, isNew := s.RunsNow(long); !runs || !isNew || limits.Bytes(s.Status) > 1<<10 {
		t.Errorf("it runs: %t, is new: %t; the status has %d bytes", runs, isNew, limits.Bytes(s.Status))
	}
	s.Status.RunNow.Done = true
	if runs, isNew := s.RunsNow(long); runs || isNew {
		t.Errorf("it runs again: %t, %t", runs, isNew)
	}
	if runs, isNew := s.RunsNow(longer); !runs || !isNew {
		t.Errorf("another that begins alike runs: %t, %t", runs, isNew)
	}
	if runs, isNew := s.RunsNow(long); runs || isNew {
		t.Errorf("an earlier one runs again: %t, %t", runs, isNew)
	}
}

func toText(t *testing.T, status *v1alpha1.SnapshotPolicyStatus) string {
	t.Helper()
	text, err := json.Marshal(status)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

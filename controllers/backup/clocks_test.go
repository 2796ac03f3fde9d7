package backup

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// What another manager wrote is by its clock, which may be half an hour ahead of
// ours or behind it, and ours may be set. Nothing that waits for it takes longer
// than it should, a thaw first of all.
func TestNoWaitIsLongerForAnotherClock(t *testing.T) {
	const skew = 30 * time.Minute
	for name, written := range map[string]time.Time{"in time": noon, "ahead": noon.Add(skew), "behind": noon.Add(-skew)} {
		micro, second := metav1.NewMicroTime(written), metav1.NewTime(written)
		for _, attempt := range []int32{1, 3, 11} {
			q := &v1alpha1.QuiesceStatus{Method: v1alpha1.MethodHooks, Attempt: attempt, StartedAt: micro, ThawAttempts: attempt, ThawTriedAt: &micro}
			if left := untilNextThaw(q, noon); left < 0 || left > maxThawDelay {
				t.Errorf("%s: after round %d the next comes in %s", name, attempt, left)
			}
			if left := untilNextThaw(q, noon.Add(maxThawDelay)); left != 0 {
				t.Errorf("%s: after round %d and its delay the next comes in %s", name, attempt, left)
			}
			q.ThawedAt = &micro
			b := &v1alpha1.VolumeBackup{Status: v1alpha1.VolumeBackupStatus{Quiesce: q}}
			if left := untilNextAttempt(b, noon); left < 0 || left > 30*time.Second {
				t.Errorf("%s: after attempt %d the next comes in %s", name, attempt, left)
			}
			if left := untilNextAttempt(b, noon.Add(30*time.Second)); left != 0 {
				t.Errorf("%s: after attempt %d and its delay the next comes in %s", name, attempt, left)
			}
		}
		b := &v1alpha1.VolumeBackup{Status: v1alpha1.VolumeBackupStatus{StartTime: &second}}
		r := &Reconciler{Clock: stopped(noon), Options: Options{ExclusivityTimeout: time.Hour}}
		if left := r.exclusivityLeft(b); left > time.Hour {
			t.Errorf("%s: it waits for its turn for %s", name, left)
		}
		b.CreationTimestamp, b.Annotations = second, map[string]string{v1alpha1.AnnotationScheduledAt: "2026-01-01T12:00:00Z"}
		b.Status.StartTime = nil
		if turnOf(b).mayYield(noon.Add(longestYield)) {
			t.Errorf("%s: it yields for longer than %s", name, longestYield)
		}
	}
	tried := metav1.NewMicroTime(noon)
	if left := untilNextThaw(&v1alpha1.QuiesceStatus{ThawAttempts: 2, ThawTriedAt: &tried}, noon.Add(500*time.Millisecond)); left != 1500*time.Millisecond {
		t.Errorf("by the same clock the next round comes in %s", left)
	}
}

// stopped is a clock that stands still.
type stopped time.Time

func (s stopped) Now() time.Time                  { return time.Time(s) }
func (s stopped) Since(t time.Time) time.Duration { return time.Time(s).Sub(t) }

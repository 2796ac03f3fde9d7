package restore

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// stopping is a restore whose application of three replicas was told to stop now
// and has a pod left.
func stopping(inTurn bool) *State {
	return aReplacement(func(s *v1alpha1.VolumeRestoreStatus, o *Observed) {
		s.ScaledDownAt, s.Replicas = ptr.To(metav1.NewMicroTime(now)), ptr.To[int32](3)
		o.Workload.Replicas, o.Workload.IsOrdered = 0, inTurn
		o.Pods = []corev1.Pod{{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: ptr.To[int64](40)}}}
	})
}

func TestPodsThatStopInTurnHaveEachItsGrace(t *testing.T) {
	for inTurn, want := range map[bool]time.Duration{false: 50 * time.Second, true: 130 * time.Second} {
		s := stopping(inTurn)
		s.Restore.Spec.ReadyTimeout = &metav1.Duration{Duration: 10 * time.Second}
		if got := s.awaitPodsGone().Wait.Until.Sub(now); got != want {
			t.Errorf("in turn: %t: given up after %s, want %s", inTurn, got, want)
		}
	}
}

func TestWhatReadyTakesAtLeastComesOnTop(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*State)
		want   time.Duration
		says   string
	}{
		"no settings":     {func(*State) {}, 20 * time.Second, ""},
		"minReadySeconds": {func(s *State) { s.Workload.MinReadySeconds = 40 }, time.Minute, "it has 20s, on top of the 40s that it takes at least: minReadySeconds: 40"},
		"in turn": {func(s *State) { s.Workload.MinReadySeconds, s.Workload.IsOrdered = 40, true }, 140 * time.Second,
			"3 replicas start one after the other"},
		"on the way back": {func(s *State) {
			s.Workload.MinReadySeconds = 125
			s.Restore.Status.WasReady = true
			s.Restore.Status.RollBack = &v1alpha1.RollBackStatus{ScaledUpAt: ptr.To(metav1.NewMicroTime(now))}
		}, 245 * time.Second, "it has 2m0s, on top"},
	} {
		s := stopping(false)
		s.Restore.Spec.ReadyTimeout = &metav1.Duration{Duration: 20 * time.Second}
		s.Restore.Status.ScaledUpAt = ptr.To(metav1.NewMicroTime(now))
		s.Workload.Unready = "none is available"
		c.change(s)
		w := s.awaitReady().Wait
		if got := w.Until.Sub(now); got != c.want || !strings.Contains(w.Message(), c.says) || !strings.Contains(w.Late.Message, c.says) {
			t.Errorf("%s: given up after %s, want %s: %s", name, got, c.want, w.Late.Message)
		}
	}
}

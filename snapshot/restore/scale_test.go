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

// A pod is changed once for each time that its kubelet has told that it can't
// read a claim, later each time, and not for ever.
func TestAKubeletThatCouldNotMountIsMadeToLookAgain(t *testing.T) {
	pod := func(done string, failed int, age time.Duration) *State {
		s := stopping(false)
		s.Restore.Status.ScaledUpAt = ptr.To(metav1.NewMicroTime(now))
		s.Workload.Unready = "none is available"
		s.FailedMounts = map[string]int{"db-0": failed}
		s.Pods = []corev1.Pod{{
			ObjectMeta: metav1.ObjectMeta{Name: "db-0", CreationTimestamp: metav1.NewTime(now.Add(-age))},
			Spec:       corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Phase: corev1.PodPending},
		}}
		if done != "" {
			s.Pods[0].Annotations = map[string]string{v1alpha1.AnnotationResync: done}
		}
		return s
	}
	unscheduled, mounted := pod("", 1, time.Minute), pod("", 1, time.Minute)
	unscheduled.Pods[0].Spec.NodeName = ""
	mounted.Pods[0].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue}}
	for name, c := range map[string]struct {
		s     *State
		want  string
		every time.Duration
	}{
		"not told":          {pod("", 0, time.Minute), "", resyncEvery},
		"told":              {pod("", 1, time.Second), "1", resyncEvery},
		"told, too early":   {pod("", 1, time.Second/2), "", resyncEvery},
		"changed":           {pod("1", 1, time.Minute), "", resyncEvery},
		"told again":        {pod("1", 2, 2*time.Second), "2", resyncEvery},
		"again, too early":  {pod("1", 2, time.Second), "", resyncEvery},
		"often enough":      {pod("4", 9, time.Hour), "", resyncEvery},
		"not on a node yet": {unscheduled, "", 0},
		"has its volumes":   {mounted, "", 0},
	} {
		need, got := c.s.awaitReady(), ""
		for _, change := range need.Changes {
			got = change.After.GetAnnotations()[v1alpha1.AnnotationResync]
			if !change.IsOptional {
				t.Errorf("%s: the restore can't do without %s", name, change)
			}
		}
		if got != c.want || need.Wait.Every != c.every {
			t.Errorf("%s: annotated %q, looked at every %s, want %q and %s", name, got, need.Wait.Every, c.want, c.every)
		}
	}
}

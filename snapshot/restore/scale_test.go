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

// Each stop costs the application a restart: who starts it again each time is told
// of after a few, by all that is known of them.
func TestWhoScalesItUpAgainIsTold(t *testing.T) {
	owner := metav1.OwnerReference{APIVersion: "kafka.strimzi.io/v1", Kind: "Kafka", Name: "events", UID: "k", Controller: ptr.To(true)}
	set := metav1.ManagedFieldsEntry{Manager: "strimzi", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`)}
	for name, c := range map[string]struct {
		stops  int32
		isBack bool
		meta   metav1.ObjectMeta
		says   string
	}{
		"stopped twice": {2, false, metav1.ObjectMeta{}, ""},
		"by nobody knows whom": {3, false, metav1.ObjectMeta{},
			"StatefulSet db was told to stop 3 times and was scaled up again each time, by somebody: pause what does that meanwhile, then restore again"},
		"by its operator": {3, false, metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{owner}, ManagedFields: []metav1.ManagedFieldsEntry{set}},
			"by strimzi (the field manager of spec.replicas), it belongs to Kafka events: pause"},
		"on the way back": {3, true, metav1.ObjectMeta{}, "by somebody: pause what does that meanwhile"},
	} {
		s := aReplacement(func(status *v1alpha1.VolumeRestoreStatus, o *Observed) {
			status.Stops, status.ScaledDownAt = c.stops, ptr.To(metav1.NewMicroTime(now))
			o.Workload.Ref, o.Workload.Meta = *status.Application, c.meta
		})
		if c.isBack {
			goingBack(s, true)
		}
		says := ""
		if p := s.scaleDown().Problem; p != nil {
			says = p.Message
		}
		if !strings.Contains(says, c.says) || (c.says == "") != (says == "") || c.isBack && strings.Contains(says, "restore again") {
			t.Errorf("%s: %q", name, says)
		}
	}
}

func TestAnApplicationThatAControllerOwnsIsWarnedOf(t *testing.T) {
	owned := func(in *Input) {
		in.Workload.Meta.OwnerReferences = []metav1.OwnerReference{{APIVersion: "x/v1", Kind: "Cluster", Name: "c", Controller: ptr.To(true)}}
	}
	onlyClaims := func(in *Input) {
		owned(in)
		in.Restore.Spec.Target.Strategy = v1alpha1.StrategyClaimsOnly
	}
	for name, c := range map[string]struct {
		change func(*Input)
		says   string
	}{
		"its own":       {nil, ""},
		"an operator's": {owned, "Deployment mysql belongs to Cluster c, whose controller may scale it up again"},
		"claims only":   {onlyClaims, ""},
	} {
		res, err := Resolve(aRestorable(c.change))
		if err != nil {
			t.Fatal(err)
		}
		says := ""
		for _, w := range res.Warnings {
			says += w.Message
		}
		if !strings.HasPrefix(says, c.says) || (c.says == "") != (says == "") {
			t.Errorf("%s: %q", name, says)
		}
	}
}

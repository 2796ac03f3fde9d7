package restore

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// aRollout is a StatefulSet db with a new revision, and its pods: db-0 is of the
// one before.
func aRollout(change func(*appsv1.StatefulSet), isReady bool) (*workload.Workload, []corev1.Pod) {
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "db", UID: "app"}}
	set.Spec.Replicas, set.Status.UpdateRevision = ptr.To[int32](2), "new"
	change(set)
	pods := []corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "db-0"}}, {ObjectMeta: metav1.ObjectMeta{Name: "db-1"}}}
	for i, revision := range []string{"old", "new"} {
		pods[i].Labels = map[string]string{appsv1.ControllerRevisionHashLabelKey: revision}
		pods[i].OwnerReferences = []metav1.OwnerReference{{UID: "app", Controller: ptr.To(true)}}
		pods[i].Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}
		if isReady {
			pods[i].Status.Conditions[0].Status = corev1.ConditionTrue
		}
	}
	return workload.Of(set, nil), pods
}

func onDelete(s *appsv1.StatefulSet) {
	s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
}

func TestCheckRevision(t *testing.T) {
	partition := func(s *appsv1.StatefulSet) {
		s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](1)}
	}
	for name, c := range map[string]struct {
		change  func(*appsv1.StatefulSet)
		isReady bool
		// says is what the problem says, empty where there is none.
		says   string
		passes bool
	}{
		"OnDelete":                      {onDelete, true, "from pod(s) db-0, by its update strategy OnDelete: a stop would let it go, and going back would not undo that. Let it go first (kubectl delete pod db-0), or take it back (kubectl rollout undo statefulset/db)", false},
		"OnDelete, not ready":           {onDelete, false, "StatefulSet db holds a change of its pod template back", false},
		"a partition":                   {partition, false, `kubectl patch statefulset/db --type=merge -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'`, false},
		"a rollout under way":           {func(*appsv1.StatefulSet) {}, true, "to pod(s) db-0 too", true},
		"a rollout that breaks nothing": {func(*appsv1.StatefulSet) {}, false, "", false},
		"nothing runs":                  {func(s *appsv1.StatefulSet) { onDelete(s); s.Spec.Replicas = ptr.To[int32](0) }, true, "", false},
		"a change not seen yet":         {func(s *appsv1.StatefulSet) { s.Generation = 2 }, true, "has not seen its newest change yet", true},
		"nothing is held back":          {func(s *appsv1.StatefulSet) { onDelete(s); s.Status.UpdateRevision = "" }, true, "", false},
	} {
		w, pods := aRollout(c.change, c.isReady)
		says, passes := "", false
		if p := checkRevision(w, pods, v1alpha1.StrategyReplace); p != nil {
			says, passes = p.Message, p.Passing
		}
		if !strings.Contains(says, c.says) || (says == "") != (c.says == "") || passes != c.passes {
			t.Errorf("%s: got %q, passes: %t", name, says, passes)
		}
	}
	if p := checkRevision(nil, nil, v1alpha1.StrategyClaimsOnly); p != nil {
		t.Errorf("nothing is stopped: %v", p)
	}
}

// It is looked at before anything is made, before the stop, and before a way
// back that is asked for. The way back that a restore takes by itself isn't
// checked.
func TestWhereRevisionsAreChecked(t *testing.T) {
	w, pods := aRollout(onDelete, true)
	w.Meta.UID, w.ClaimTemplates = "app", nil
	_, err := Resolve(aRestorable(func(in *Input) {
		aStatefulSet(in)
		in.Workload.Object, in.Workload.Owners, in.Pods = w.Object, w.Owners, pods
	}))
	if reasonOf(err) != v1alpha1.ReasonRevisionHeld || !strings.Contains(err.Error(), "or write strategy ClaimsOnly") {
		t.Errorf("at the outset: %v", err)
	}
	s := beforeTheStop(func(s *State) { s.Workload, s.Pods = w, pods })
	if p := Objection(s, Next(s)).Problem; p == nil || p.Reason != v1alpha1.ReasonRevisionHeld {
		t.Errorf("before the stop: %v", p)
	}
	s.Restore.Status.RollBack = &v1alpha1.RollBackStatus{}
	if need := Objection(s, Next(s)); !need.IsNothing() {
		t.Errorf("on the way back: %+v", need)
	}
	goingBack(s, true)
	s.Restore.Status.RollBack, s.Restore.Status.CompletionTime = nil, &metav1.Time{Time: now}
	setTrue(&s.Restore.Status, v1alpha1.ConditionComplete)
	if p := MayRollBack(s, nil); p == nil || p.Reason != v1alpha1.ReasonRevisionHeld || !strings.Contains(p.Message, "spec.rollBack: false, then true") {
		t.Errorf("before a way back that is asked for: %v", p)
	}
}

// A rollout that is under way is waited for while the application runs.
func TestARolloutUnderWayIsWaitedFor(t *testing.T) {
	w, pods := aRollout(func(*appsv1.StatefulSet) {}, true)
	w.Meta.UID = "app"
	s := beforeTheStop(func(s *State) { s.Workload, s.Pods = w, pods })
	if need := Objection(s, Next(s)); need.Wait == nil || !need.Wait.IsLate(now.Add(s.ClaimTimeout)) {
		t.Errorf("got %+v", need)
	}
}

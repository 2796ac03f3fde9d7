package workload

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// templateOf runs the image.
func templateOf(image string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "db", Image: image, Env: []corev1.EnvVar{{Name: "VERSION", Value: image}},
	}}}}
}

// podOf is a pod of the owner, made from a template that runs the image.
func podOf(name string, owner types.UID, revision, image string) corev1.Pod {
	p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: revision}}}
	p.OwnerReferences = []metav1.OwnerReference{{UID: owner, Controller: ptr.To(true)}}
	p.Spec = templateOf(image).Spec
	p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: "INJECTED"})
	return p
}

// setOf is a ReplicaSet of a Deployment, as old as it says.
func setOf(uid types.UID, image string, age time.Duration) appsv1.ReplicaSet {
	set := appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{UID: uid, CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(-age))}}
	set.Spec.Template = templateOf(image)
	set.Spec.Template.Labels = map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: "x"}
	return set
}

func TestOutdated(t *testing.T) {
	statefulSet := func(change func(*appsv1.StatefulSet)) *Workload {
		s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{UID: "set"}}
		s.Status.UpdateRevision, s.Status.CurrentRevision = "new", "old"
		if change != nil {
			change(s)
		}
		return Of(s, nil)
	}
	onDelete := func(s *appsv1.StatefulSet) { s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType }
	partition := func(s *appsv1.StatefulSet) {
		s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: ptr.To[int32](1)}
	}
	deployment := func(paused bool, history int32, sets ...appsv1.ReplicaSet) *Workload {
		d := &appsv1.Deployment{}
		d.Spec.Paused, d.Spec.Template, d.Spec.RevisionHistoryLimit = paused, templateOf("v2"), &history
		d.Spec.Template.Labels = map[string]string{}
		return Of(d, sets)
	}
	replicaSet := func(image string) *Workload {
		set := setOf("set", image, 0)
		return Of(&set, nil)
	}
	v1, v2, v0 := setOf("v1", "v1", time.Hour), setOf("v2", "v2", time.Minute), setOf("v0", "v0", time.Minute)
	sets := []corev1.Pod{podOf("db-0", "set", "old", "v1"), podOf("db-1", "set", "old", "v1"), podOf("db-2", "set", "new", "v2"), podOf("x", "other", "old", "v1")}
	going, ended := podOf("db-0", "set", "old", "v1"), podOf("db-1", "set", "old", "v1")
	going.DeletionTimestamp, ended.Status.Phase = ptr.To(metav1.Now()), corev1.PodFailed
	both := []corev1.Pod{podOf("a", "v1", "", "v1"), podOf("b", "v2", "", "v2")}
	for name, c := range map[string]struct {
		workload *Workload
		pods     []corev1.Pod
		repoints bool
		// want are the outdated pods, held those that stay so.
		want, held string
	}{
		"OnDelete":    {statefulSet(onDelete), sets, false, "db-0 db-1", "db-0 db-1"},
		"a partition": {statefulSet(partition), sets, false, "db-0 db-1", "db-0"},
		"a partition of a set that begins at 1": {statefulSet(func(s *appsv1.StatefulSet) {
			partition(s)
			s.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 1}
		}), sets, false, "db-0 db-1", "db-0 db-1"},
		"a rolling update under way":         {statefulSet(nil), sets, false, "db-0 db-1", ""},
		"all of them updated":                {statefulSet(func(s *appsv1.StatefulSet) { s.Status.UpdateRevision = "old" }), sets[:2], false, "", ""},
		"pods that go, or have ended":        {statefulSet(onDelete), []corev1.Pod{going, ended}, false, "", ""},
		"a Deployment, rolled out":           {deployment(false, 10, v1, v2), both[1:], false, "", ""},
		"a Deployment, half way":             {deployment(false, 10, v1, v2), both, false, "a", ""},
		"paused before it began":             {deployment(true, 10, v1), both[:1], false, "", ""},
		"paused before it began, repointed":  {deployment(true, 10, v1), both[:1], true, "a", "a"},
		"paused half way":                    {deployment(true, 10, v1, v2), both, false, "a", "a"},
		"paused, an older one runs":          {deployment(true, 10, v1, v0), both[:1], false, "a", "a"},
		"paused, without a history":          {deployment(true, 0, v1), both[:1], false, "a", "a"},
		"a ReplicaSet":                       {replicaSet("v1"), sets[:2], false, "", ""},
		"a ReplicaSet, its template changed": {replicaSet("v2"), sets, false, "db-0 db-1", "db-0 db-1"},
	} {
		var all, held []string
		for _, p := range c.workload.Outdated(c.pods, c.repoints) {
			all = append(all, p.Name)
			if c.workload.IsHeldBack(&p) {
				held = append(held, p.Name)
			}
		}
		if strings.Join(all, " ") != c.want || strings.Join(held, " ") != c.held {
			t.Errorf("%s: got %v, of which %v are held back; want %s, %s", name, all, held, c.want, c.held)
		}
	}
}

func TestIsSeen(t *testing.T) {
	s, d := &appsv1.StatefulSet{}, &appsv1.Deployment{}
	s.Generation, d.Generation = 2, 2
	if !Of(s, nil).IsUnseen || !Of(d, nil).IsUnseen {
		t.Error("their controllers know the generation before")
	}
	s.Status.ObservedGeneration, d.Status.ObservedGeneration = 2, 2
	if Of(s, nil).IsUnseen || Of(d, nil).IsUnseen || Of(&appsv1.ReplicaSet{}, nil).IsUnseen {
		t.Error("their controllers have seen it")
	}
}

package workload

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// What a workload starts from zero replicas isn't always what ran before. Its
// pods that would be made from another template are outdated:
//
//	StatefulSet  pods of another revision than status.updateRevision. By OnDelete
//	             they stay until somebody deletes them, by a partition for as long
//	             as that is set; but a set without replicas counts as updated, and
//	             forgets its current revision (pkg/controller/statefulset,
//	             completeUpdate in stateful_set_utils.go).
//	Deployment   pods of another ReplicaSet than the one of its template. While it
//	             is paused, without replicas, that one is scaled up where it is
//	             there, else the youngest (pkg/controller/deployment/util,
//	             FindActiveOrLatest).
//	ReplicaSet   pods that were made before its template was changed: it never
//	             replaces one by itself.

// Outdated are those of the workload's pods that a stop and a start would bring
// back from another template. repoints is true where the template is changed in
// between. Pods that have ended or are going don't count.
func (w *Workload) Outdated(pods []corev1.Pod, repoints bool) []corev1.Pod {
	var outdated []corev1.Pod
	for _, p := range Unfinished(pods) {
		if w.Owns(&p) && p.DeletionTimestamp.IsZero() && w.isOutdated(&p, repoints) {
			outdated = append(outdated, p)
		}
	}
	return outdated
}

func (w *Workload) isOutdated(p *corev1.Pod, repoints bool) bool {
	switch o := w.Object.(type) {
	case *appsv1.StatefulSet:
		revision := p.Labels[appsv1.ControllerRevisionHashLabelKey]
		return revision != "" && o.Status.UpdateRevision != "" && revision != o.Status.UpdateRevision
	case *appsv1.Deployment:
		next := w.nextSet
		if repoints {
			next = w.templateSet
		}
		owner := metav1.GetControllerOfNoCopy(p)
		return owner == nil || owner.UID != next
	case *appsv1.ReplicaSet:
		return !isMadeFrom(p, &o.Spec.Template)
	}
	return false
}

// IsHeldBack is true for an outdated pod that stays as it is until somebody says
// otherwise. The others are in the middle of a rollout.
func (w *Workload) IsHeldBack(p *corev1.Pod) bool {
	switch o := w.Object.(type) {
	case *appsv1.StatefulSet:
		return o.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType || Ordinal(p) < w.Start+UpdatePartition(o)
	case *appsv1.Deployment:
		return o.Spec.Paused
	}
	return true
}

// UpdatePartition is the partition of a StatefulSet's rolling update, 0 where it
// has none.
func UpdatePartition(s *appsv1.StatefulSet) int32 {
	if r := s.Spec.UpdateStrategy.RollingUpdate; r != nil {
		return ptr.Deref(r.Partition, 0)
	}
	return 0
}

// Ordinal is the number at the end of a StatefulSet's pod's name, 0 where there
// is none.
func Ordinal(p *corev1.Pod) int32 {
	n, err := strconv.ParseInt(p.Name[strings.LastIndex(p.Name, "-")+1:], 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}

// templateSetOf is the ReplicaSet of a Deployment's template, empty where there
// is none.
func templateSetOf(d *appsv1.Deployment, sets []appsv1.ReplicaSet) types.UID {
	for i := range sets {
		if isOfTemplate(&sets[i], &d.Spec.Template) {
			return sets[i].UID
		}
	}
	return ""
}

// nextSetOf is the ReplicaSet that a Deployment without replicas scales up,
// empty where there will be none: a paused one makes none, and deletes what its
// history has no place for.
func nextSetOf(d *appsv1.Deployment, sets []appsv1.ReplicaSet) types.UID {
	own := templateSetOf(d, sets)
	if own != "" || !d.Spec.Paused || len(sets) == 0 || ptr.Deref(d.Spec.RevisionHistoryLimit, 10) == 0 {
		return own
	}
	return slices.MaxFunc(sets, func(a, b appsv1.ReplicaSet) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
	}).UID
}

func isOfTemplate(set *appsv1.ReplicaSet, template *corev1.PodTemplateSpec) bool {
	own := set.Spec.Template.DeepCopy()
	delete(own.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return equality.Semantic.DeepEqual(own, template)
}

// isMadeFrom is true for a pod whose containers run what the template says.
// What admission adds to a pod doesn't count.
func isMadeFrom(p *corev1.Pod, template *corev1.PodTemplateSpec) bool {
	return runs(p.Spec.InitContainers, template.Spec.InitContainers) && runs(p.Spec.Containers, template.Spec.Containers)
}

func runs(have, want []corev1.Container) bool {
	return !slices.ContainsFunc(want, func(w corev1.Container) bool {
		return !slices.ContainsFunc(have, func(h corev1.Container) bool {
			return h.Name == w.Name && h.Image == w.Image && slices.Equal(h.Command, w.Command) && slices.Equal(h.Args, w.Args) && hasEnv(h.Env, w.Env)
		})
	})
}

func hasEnv(have, want []corev1.EnvVar) bool {
	return !slices.ContainsFunc(want, func(w corev1.EnvVar) bool {
		return !slices.ContainsFunc(have, func(h corev1.EnvVar) bool { return equality.Semantic.DeepEqual(h, w) })
	})
}

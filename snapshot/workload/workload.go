package workload

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Object is an object of the API.
type Object interface {
	metav1.Object
	runtime.Object
}

// Workload is what matters of an object that makes pods from a template.
type Workload struct {
	Ref v1alpha1.ApplicationReference
	// Object as it was read.
	Object   Object
	Meta     metav1.ObjectMeta
	Template corev1.PodTemplateSpec
	// ClaimTemplates and Start, the first ordinal, are those of a StatefulSet.
	ClaimTemplates []corev1.PersistentVolumeClaim
	Start          int32
	// Owners are the UIDs of the objects that own its pods.
	Owners   []types.UID
	Replicas int32
	// MinReadySeconds is how long a pod has to be ready to be available.
	MinReadySeconds int32
	// IsOrdered is true where its pods are started and stopped one by one: the
	// lowest ordinal starts first, the highest stops first.
	IsOrdered bool
	// IsUnseen is true where its controllers haven't acted yet on what it was
	// told last.
	IsUnseen bool
	// Unready says what is missing to be ready, empty where it is.
	Unready string
	// Paused is true where its rollout is.
	Paused bool
	// HasHeldRollout is true where a paused rollout holds changes back.
	HasHeldRollout bool
	// templateSet is the UID of the ReplicaSet of a Deployment's template, nextSet
	// that of the one which a start from zero scales up.
	templateSet, nextSet types.UID
	// DeletesClaims is true where the claims of a replica are deleted when it
	// is scaled away.
	DeletesClaims bool
}

// Kinds that make pods and are no application: nobody backs them up or restores
// them, but they may mount what an application does.
const (
	KindJob     v1alpha1.ApplicationKind = "Job"
	KindCronJob v1alpha1.ApplicationKind = "CronJob"
)

// Empty is an empty object of a kind that makes pods, nil for any other kind.
func Empty(kind v1alpha1.ApplicationKind) Object {
	switch kind {
	case v1alpha1.KindDeployment:
		return &appsv1.Deployment{}
	case v1alpha1.KindStatefulSet:
		return &appsv1.StatefulSet{}
	case v1alpha1.KindDaemonSet:
		return &appsv1.DaemonSet{}
	case v1alpha1.KindReplicaSet:
		return &appsv1.ReplicaSet{}
	case v1alpha1.KindReplicationController:
		return &corev1.ReplicationController{}
	}
	return nil
}

// IsScalable is true for the kinds that can be stopped and started by their
// number of replicas.
func IsScalable(kind v1alpha1.ApplicationKind) bool {
	return kind == v1alpha1.KindDeployment || kind == v1alpha1.KindStatefulSet || kind == v1alpha1.KindReplicaSet
}

// Of reads an object; sets are the ReplicaSets that a Deployment owns. It is nil
// for an object that makes no pods.
func Of(obj Object, sets []appsv1.ReplicaSet) *Workload {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		return ofDeployment(o, sets)
	case *appsv1.StatefulSet:
		return ofStatefulSet(o)
	case *appsv1.DaemonSet:
		return &Workload{Ref: ref(v1alpha1.KindDaemonSet, o), Object: o, Meta: o.ObjectMeta, Template: o.Spec.Template, Owners: []types.UID{o.UID}}
	case *appsv1.ReplicaSet:
		want := ptr.Deref(o.Spec.Replicas, 1)
		return &Workload{
			Ref: ref(v1alpha1.KindReplicaSet, o), Object: o, Meta: o.ObjectMeta, Template: o.Spec.Template,
			Owners: []types.UID{o.UID}, Replicas: want, MinReadySeconds: o.Spec.MinReadySeconds,
			IsUnseen: !isSeen(o.Generation, o.Status.ObservedGeneration),
			Unready:  unready(o.Generation, o.Status.ObservedGeneration, want, o.Status.Replicas, o.Status.Replicas, o.Status.AvailableReplicas),
		}
	case *corev1.ReplicationController:
		return &Workload{
			Ref: ref(v1alpha1.KindReplicationController, o), Object: o, Meta: o.ObjectMeta,
			Template: ptr.Deref(o.Spec.Template, corev1.PodTemplateSpec{}), Owners: []types.UID{o.UID},
		}
	case *batchv1.Job:
		return &Workload{Ref: ref(KindJob, o), Object: o, Meta: o.ObjectMeta, Template: o.Spec.Template, Owners: []types.UID{o.UID}}
	case *batchv1.CronJob: // its pods are its Jobs'
		return &Workload{Ref: ref(KindCronJob, o), Object: o, Meta: o.ObjectMeta, Template: o.Spec.JobTemplate.Spec.Template}
	}
	return nil
}

func ref(kind v1alpha1.ApplicationKind, obj Object) v1alpha1.ApplicationReference {
	return v1alpha1.ApplicationReference{Kind: kind, Name: obj.GetName()}
}

func ofDeployment(d *appsv1.Deployment, sets []appsv1.ReplicaSet) *Workload {
	w := &Workload{
		Ref: ref(v1alpha1.KindDeployment, d), Object: d, Meta: d.ObjectMeta, Template: d.Spec.Template,
		Replicas:        ptr.Deref(d.Spec.Replicas, 1),
		MinReadySeconds: d.Spec.MinReadySeconds,
		Paused:          d.Spec.Paused,
		HasHeldRollout:  d.Spec.Paused && !isRolledOut(d, sets),
		IsUnseen:        !isSeen(d.Generation, d.Status.ObservedGeneration),
		templateSet:     templateSetOf(d, sets),
		nextSet:         nextSetOf(d, sets),
	}
	for i := range sets {
		w.Owners = append(w.Owners, sets[i].UID)
		isStale := w.Replicas == 0 && ptr.Deref(sets[i].Spec.Replicas, 1) > 0
		w.IsUnseen = w.IsUnseen || isStale || !isSeen(sets[i].Generation, sets[i].Status.ObservedGeneration)
	}
	updated := d.Status.UpdatedReplicas
	if d.Spec.Paused { // pods of the version before are all there will be
		updated = d.Status.Replicas
	}
	w.Unready = unready(d.Generation, d.Status.ObservedGeneration, w.Replicas, d.Status.Replicas, updated, d.Status.AvailableReplicas)
	return w
}

// isRolledOut is true where the newest template is what runs.
func isRolledOut(d *appsv1.Deployment, sets []appsv1.ReplicaSet) bool {
	found := false
	for i := range sets {
		same := isOfTemplate(&sets[i], &d.Spec.Template)
		if !same && ptr.Deref(sets[i].Spec.Replicas, 1) > 0 {
			return false
		}
		found = found || same
	}
	return found
}

func ofStatefulSet(s *appsv1.StatefulSet) *Workload {
	w := &Workload{
		Ref: ref(v1alpha1.KindStatefulSet, s), Object: s, Meta: s.ObjectMeta, Template: s.Spec.Template,
		ClaimTemplates:  s.Spec.VolumeClaimTemplates,
		Owners:          []types.UID{s.UID},
		Replicas:        ptr.Deref(s.Spec.Replicas, 1),
		MinReadySeconds: s.Spec.MinReadySeconds,
		IsOrdered:       s.Spec.PodManagementPolicy != appsv1.ParallelPodManagement,
		IsUnseen:        !isSeen(s.Generation, s.Status.ObservedGeneration),
	}
	if s.Spec.Ordinals != nil {
		w.Start = s.Spec.Ordinals.Start
	}
	if p := s.Spec.PersistentVolumeClaimRetentionPolicy; p != nil {
		w.DeletesClaims = p.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	}
	w.Unready = unready(s.Generation, s.Status.ObservedGeneration, w.Replicas, s.Status.Replicas, s.Status.Replicas, s.Status.AvailableReplicas)
	return w
}

func isSeen(generation, observed int64) bool { return observed >= generation }

func unready(generation, observed int64, want, all, updated, available int32) string {
	switch {
	case !isSeen(generation, observed):
		return "its controller has not seen its newest change yet"
	case updated < want || all != updated:
		return fmt.Sprintf("%d of %d replicas are updated, %d exist", updated, want, all)
	case available < want:
		return fmt.Sprintf("%d of %d replicas are available", available, want)
	}
	return ""
}

// Makes is true for an object that makes pods by itself, and may make more: not
// a ReplicaSet of a Deployment, nor a Job that has ended.
func (w *Workload) Makes() bool {
	if job, ok := w.Object.(*batchv1.Job); ok {
		return !slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
			return c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed)
		})
	}
	owner, isOwned := OwnerRef(&w.Meta)
	return w.Ref.Kind != v1alpha1.KindReplicaSet || !isOwned || owner.Kind != v1alpha1.KindDeployment
}

// OwnedSets are the ReplicaSets that a Deployment owns.
func OwnedSets(d metav1.Object, all []appsv1.ReplicaSet) []appsv1.ReplicaSet {
	return slices.DeleteFunc(slices.Clone(all), func(set appsv1.ReplicaSet) bool { return !metav1.IsControlledBy(&set, d) })
}

// Owns is true for a pod of the workload: its owner reference says so, and the
// workload selects it. An owner reference alone is the word of whoever made the pod,
// and the controllers of Kubernetes let a pod go that isn't selected.
func (w *Workload) Owns(p *corev1.Pod) bool {
	owner := metav1.GetControllerOfNoCopy(p)
	return owner != nil && slices.Contains(w.Owners, owner.UID) && w.Selects(p)
}

// Selects is true for a pod that the workload selects by its labels, and for any
// where it has no selector, as a Job that a controller of its own labels.
func (w *Workload) Selects(p *corev1.Pod) bool {
	written := w.selector()
	if written == nil {
		return true
	}
	s, err := metav1.LabelSelectorAsSelector(written)
	return err == nil && s.Matches(labels.Set(p.Labels))
}

// OwnerRef is the workload of Kubernetes' own kinds that owns an object. It is
// false where there is none: kinds of other groups have the same names.
func OwnerRef(obj metav1.Object) (v1alpha1.ApplicationReference, bool) {
	owner := metav1.GetControllerOfNoCopy(obj)
	if owner == nil {
		return v1alpha1.ApplicationReference{}, false
	}
	group, _, hasVersion := strings.Cut(owner.APIVersion, "/")
	builtIn := !hasVersion || group == appsv1.GroupName
	kind := v1alpha1.ApplicationKind(owner.Kind)
	return v1alpha1.ApplicationReference{Kind: kind, Name: owner.Name}, builtIn && Empty(kind) != nil
}

// Repoint points volumes of a pod template at other claims; claims are those,
// by the names of the volumes.
func Repoint(template *corev1.PodTemplateSpec, claims map[string]string) {
	for i := range template.Spec.Volumes {
		v := &template.Spec.Volumes[i]
		if claim, ok := claims[v.Name]; ok && v.PersistentVolumeClaim != nil {
			v.PersistentVolumeClaim.ClaimName = claim
		}
	}
}

// SelectorKeys are the keys of the labels by which it selects its pods.
func (w *Workload) SelectorKeys() []string {
	selector := w.selector()
	if selector == nil {
		return nil
	}
	keys := slices.Collect(maps.Keys(selector.MatchLabels))
	for _, e := range selector.MatchExpressions {
		keys = append(keys, e.Key)
	}
	return keys
}

// selector is that of its pods, nil where it has none.
func (w *Workload) selector() *metav1.LabelSelector {
	switch o := w.Object.(type) {
	case *appsv1.Deployment:
		return o.Spec.Selector
	case *appsv1.StatefulSet:
		return o.Spec.Selector
	case *appsv1.DaemonSet:
		return o.Spec.Selector
	case *appsv1.ReplicaSet:
		return o.Spec.Selector
	case *corev1.ReplicationController:
		return replicationSelector(o)
	}
	return nil
}

// replicationSelector is that of a ReplicationController. Where it has none the API
// server takes the labels of its template.
func replicationSelector(o *corev1.ReplicationController) *metav1.LabelSelector {
	selected := o.Spec.Selector
	if len(selected) == 0 && o.Spec.Template != nil {
		selected = o.Spec.Template.Labels
	}
	return &metav1.LabelSelector{MatchLabels: selected}
}

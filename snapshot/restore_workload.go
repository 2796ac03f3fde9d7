package snapshot

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Workload is what a restore needs to know of an application.
type Workload struct {
	Ref      v1alpha1.ApplicationReference
	Meta     metav1.ObjectMeta
	Template corev1.PodTemplateSpec
	// ClaimTemplates and Start are those of a StatefulSet.
	ClaimTemplates []corev1.PersistentVolumeClaim
	Start          int32
	// Owners are the UIDs of the objects that own its pods.
	Owners   []types.UID
	Replicas int32
	// Unready says what is missing to be ready, empty where it is.
	Unready string
	// Paused is true where its rollout is.
	Paused bool
	// Pending is true where a paused rollout holds changes back.
	Pending bool
	// Surplus is true where the claims of a replica are deleted with it.
	Surplus bool
}

// Scalable is true for the kinds that a restore can stop and start.
func Scalable(kind v1alpha1.ApplicationKind) bool {
	return kind == v1alpha1.KindDeployment || kind == v1alpha1.KindStatefulSet || kind == v1alpha1.KindReplicaSet
}

// DeploymentWorkload reads a Deployment; sets are its ReplicaSets.
func DeploymentWorkload(d *appsv1.Deployment, sets []appsv1.ReplicaSet) *Workload {
	w := &Workload{
		Ref:  v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: d.Name},
		Meta: d.ObjectMeta, Template: d.Spec.Template,
		Replicas: ptr.Deref(d.Spec.Replicas, 1),
		Paused:   d.Spec.Paused,
		Pending:  d.Spec.Paused && !rolledOut(d, sets),
	}
	for i := range sets {
		w.Owners = append(w.Owners, sets[i].UID)
	}
	updated := d.Status.UpdatedReplicas
	if d.Spec.Paused { // pods of the version before are all there will be
		updated = d.Status.Replicas
	}
	w.Unready = unready(d.Generation, d.Status.ObservedGeneration, w.Replicas, d.Status.Replicas, updated, d.Status.AvailableReplicas)
	return w
}

// rolledOut is true where the newest template is what runs.
func rolledOut(d *appsv1.Deployment, sets []appsv1.ReplicaSet) bool {
	found := false
	for i := range sets {
		template := sets[i].Spec.Template.DeepCopy()
		delete(template.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
		same := equality.Semantic.DeepEqual(*template, d.Spec.Template)
		if !same && ptr.Deref(sets[i].Spec.Replicas, 1) > 0 {
			return false
		}
		found = found || same
	}
	return found
}

// StatefulSetWorkload reads a StatefulSet.
func StatefulSetWorkload(s *appsv1.StatefulSet) *Workload {
	w := &Workload{
		Ref:  v1alpha1.ApplicationReference{Kind: v1alpha1.KindStatefulSet, Name: s.Name},
		Meta: s.ObjectMeta, Template: s.Spec.Template,
		ClaimTemplates: s.Spec.VolumeClaimTemplates,
		Owners:         []types.UID{s.UID},
		Replicas:       ptr.Deref(s.Spec.Replicas, 1),
	}
	if s.Spec.Ordinals != nil {
		w.Start = s.Spec.Ordinals.Start
	}
	if p := s.Spec.PersistentVolumeClaimRetentionPolicy; p != nil {
		w.Surplus = p.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	}
	w.Unready = unready(s.Generation, s.Status.ObservedGeneration, w.Replicas, s.Status.Replicas, s.Status.Replicas, s.Status.AvailableReplicas)
	return w
}

// ReplicaSetWorkload reads a ReplicaSet.
func ReplicaSetWorkload(r *appsv1.ReplicaSet) *Workload {
	replicas := ptr.Deref(r.Spec.Replicas, 1)
	return &Workload{
		Ref:  v1alpha1.ApplicationReference{Kind: v1alpha1.KindReplicaSet, Name: r.Name},
		Meta: r.ObjectMeta, Template: r.Spec.Template,
		Owners: []types.UID{r.UID}, Replicas: replicas,
		Unready: unready(r.Generation, r.Status.ObservedGeneration, replicas, r.Status.Replicas, r.Status.Replicas, r.Status.AvailableReplicas),
	}
}

func unready(generation, observed int64, want, all, updated, available int32) string {
	switch {
	case observed < generation:
		return "its controller has not seen its newest change yet"
	case updated < want || all != updated:
		return fmt.Sprintf("%d of %d replicas are updated, %d exist", updated, want, all)
	case available < want:
		return fmt.Sprintf("%d of %d replicas are available", available, want)
	}
	return ""
}

// Owns is true for a pod of the workload.
func (w *Workload) Owns(p *corev1.Pod) bool {
	owner := metav1.GetControllerOf(p)
	return owner != nil && slices.Contains(w.Owners, owner.UID)
}

// Mounted are the claims that its pods mount, or would if they were there.
func (w *Workload) Mounted() []string {
	names := mountedBy(&w.Template.Spec)
	for _, t := range w.ClaimTemplates {
		for i := range w.Replicas {
			names = append(names, fmt.Sprintf("%s-%s-%d", t.Name, w.Ref.Name, w.Start+i))
		}
	}
	return names
}

// mountedBy are the claims that a pod mounts, whether it has a node or not.
func mountedBy(p *corev1.PodSpec) []string {
	var names []string
	for _, v := range p.Volumes {
		if v.PersistentVolumeClaim != nil {
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		}
	}
	return names
}

// MayMount is true for a claim that its pods mount, or those of replicas that
// it had.
func (w *Workload) MayMount(claim string) bool {
	template, _ := w.claimTemplate(claim)
	return template != nil || slices.Contains(w.Mounted(), claim)
}

// claimTemplate is the template that a claim is made from, and the ordinal of
// its replica, whether that is there now or not.
func (w *Workload) claimTemplate(claim string) (template *corev1.PersistentVolumeClaim, ordinal string) {
	for i := range w.ClaimTemplates {
		if rest, ok := replicaOf(claim, w.ClaimTemplates[i].Name+"-"+w.Ref.Name+"-"); ok {
			return &w.ClaimTemplates[i], rest
		}
	}
	return nil, ""
}

// templateVolumes are the volumes of the pod template that mount a claim.
func (w *Workload) templateVolumes(claim string) []string {
	var names []string
	for _, v := range w.Template.Spec.Volumes {
		if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim {
			names = append(names, v.Name)
		}
	}
	return names
}

// ClaimAt is the claim that a volume of the pod template mounts.
func (w *Workload) ClaimAt(volume string) string {
	for _, v := range w.Template.Spec.Volumes {
		if v.Name == volume && v.PersistentVolumeClaim != nil {
			return v.PersistentVolumeClaim.ClaimName
		}
	}
	return ""
}

// Repoint points volumes of a pod template at other claims.
func Repoint(template *corev1.PodTemplateSpec, claims map[string]string) {
	for i := range template.Spec.Volumes {
		v := &template.Spec.Volumes[i]
		if claim, ok := claims[v.Name]; ok && v.PersistentVolumeClaim != nil {
			v.PersistentVolumeClaim.ClaimName = claim
		}
	}
}

// replicaOf is the ordinal at the end of a claim's name after prefix.
func replicaOf(claim, prefix string) (ordinal string, ok bool) {
	if len(claim) <= len(prefix) || claim[:len(prefix)] != prefix {
		return "", false
	}
	rest := claim[len(prefix):]
	for _, c := range rest {
		if c < '0' || c > '9' {
			return "", false
		}
	}
	return rest, true
}

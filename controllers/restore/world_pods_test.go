package restore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// syncWorkload does what the workload's controller does.
func (w *world) syncWorkload() {
	ctx := context.Background()
	var d appsv1.Deployment
	if w.Get(ctx, client.ObjectKey{Namespace: shop, Name: "db"}, &d) == nil {
		n := *d.Spec.Replicas
		w.syncDeployment(&d)
		available := w.available()
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: n, UpdatedReplicas: n, AvailableReplicas: available}
		w.must(w.Status().Update(ctx, &d))
	}
	var s appsv1.StatefulSet
	if w.Get(ctx, client.ObjectKey{Namespace: shop, Name: "db"}, &s) == nil {
		w.syncSet(&s)
		s.Status = appsv1.StatefulSetStatus{ObservedGeneration: s.Generation, Replicas: int32(len(w.own())), AvailableReplicas: w.available()}
		w.must(w.Status().Update(ctx, &s))
	}
}

// own are the application's pods, by their ordinals.
func (w *world) own() []corev1.Pod {
	return slices.DeleteFunc(w.pods(), func(p corev1.Pod) bool { return !strings.HasPrefix(p.Name, "db-") })
}

func (w *world) available() (n int32) {
	for _, p := range w.own() {
		if workload.IsReady(&p) && p.DeletionTimestamp.IsZero() {
			n++
		}
	}
	return n
}

// syncDeployment stops pods of another template before it starts new ones.
func (w *world) syncDeployment(d *appsv1.Deployment) {
	if d.Spec.Paused && *d.Spec.Replicas > 0 && len(w.own()) > 0 {
		return
	}
	current := w.scaleSets(d)
	for _, p := range w.own() {
		if *d.Spec.Replicas == 0 || !metav1.IsControlledBy(&p, current) {
			w.must(w.Delete(context.Background(), &p))
		}
	}
	if len(w.own()) < int(*d.Spec.Replicas) {
		w.newPod(fmt.Sprintf("db-%d", len(w.own())), current.UID, workload.NamedClaims(&current.Spec.Template.Spec)...)
	}
}

// scaleSets gives the replicas of a Deployment to one of its ReplicaSets, and none
// to the others.
func (w *world) scaleSets(d *appsv1.Deployment) (current *appsv1.ReplicaSet) {
	var all appsv1.ReplicaSetList
	w.must(w.List(context.Background(), &all))
	sets := workload.OwnedSets(d, all.Items)
	if current = setOf(d, sets); current == nil {
		current = &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: fmt.Sprintf("db-of-%d", d.Generation)}}
		current.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
		current.Spec.Template = *d.Spec.Template.DeepCopy()
		w.must(w.Create(context.Background(), current))
		sets = append(sets, *current)
	}
	for i := range sets {
		set, want := &sets[i], int32(0)
		if set.UID == current.UID {
			want = *d.Spec.Replicas
		}
		if ptr.Deref(set.Spec.Replicas, 1) != want {
			set.Spec.Replicas = &want
			w.must(w.Update(context.Background(), set))
		}
		set.Status.ObservedGeneration = set.Generation
		w.must(w.Status().Update(context.Background(), set))
	}
	return current
}

// setOf is the ReplicaSet of a Deployment's template. While it is paused none is
// made: the youngest has the replicas then.
func setOf(d *appsv1.Deployment, sets []appsv1.ReplicaSet) *appsv1.ReplicaSet {
	for i := range sets {
		if equality.Semantic.DeepEqual(sets[i].Spec.Template, d.Spec.Template) {
			return &sets[i]
		}
	}
	if !d.Spec.Paused || len(sets) == 0 {
		return nil
	}
	youngest := slices.MaxFunc(sets, func(a, b appsv1.ReplicaSet) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return &youngest
}

func (w *world) newPod(name string, owner types.UID, claims ...string) {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name}}
	if owner != "" {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "X", Name: "x", UID: owner, Controller: ptr.To(true)}}
	}
	for _, c := range claims {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: c, VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c}}})
	}
	w.must(w.Create(context.Background(), p))
}

// syncSet does what the controller of an ordered StatefulSet does: one pod after
// the other, and none further while one isn't ready.
func (w *world) syncSet(s *appsv1.StatefulSet) {
	pods, want := w.own(), int(*s.Spec.Replicas)
	firstUnhealthy := slices.IndexFunc(pods, func(p corev1.Pod) bool { return !workload.IsReady(&p) || !p.DeletionTimestamp.IsZero() })
	for i := range want {
		at := slices.IndexFunc(pods, func(p corev1.Pod) bool { return p.Name == fmt.Sprintf("db-%d", i) })
		if at < 0 {
			claim := fmt.Sprintf("data-db-%d", i)
			if w.claim(claim) == nil {
				w.remade[claim] = true
				w.remake()
			}
			w.newPod(fmt.Sprintf("db-%d", i), s.UID, claim)
			return
		}
		if !workload.IsReady(&pods[at]) || !pods[at].DeletionTimestamp.IsZero() {
			return
		}
	}
	if last := len(pods) - 1; last >= want && pods[last].DeletionTimestamp.IsZero() && (firstUnhealthy < 0 || firstUnhealthy == last) {
		w.must(w.Delete(context.Background(), &pods[last]))
	}
}

// runPods schedules, starts and ends pods.
func (w *world) runPods() {
	for _, p := range w.pods() {
		switch {
		case !p.DeletionTimestamp.IsZero():
			w.setFinalizers(&p, kubeletHas, false)
			continue
		case p.Labels["waits"] == "for ever", p.Labels["waits"] != "" && p.Spec.NodeName == "" && len(w.own()) > 0:
			continue // until the application's pods make room
		case p.Status.Phase == corev1.PodSucceeded || !w.canStart(&p) && p.Status.Phase != corev1.PodRunning:
			continue
		case p.Spec.NodeName == "":
			p.Spec.NodeName, p.Finalizers = "node", append(p.Finalizers, kubeletHas)
			w.must(w.Update(context.Background(), &p))
		}
		w.runPod(&p)
	}
}

func (w *world) runPod(p *corev1.Pod) {
	p.Status.Phase, p.Status.Conditions = corev1.PodRunning, nil
	if p.Labels[v1alpha1.LabelRestoreUID] != "" || strings.HasPrefix(p.Name, "job-done") {
		p.Status.Phase = corev1.PodSucceeded
	} else if w.isHealthy(p) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	w.must(w.Status().Update(context.Background(), p))
}

// canStart is true for a pod whose claims are bound and stay.
func (w *world) canStart(p *corev1.Pod) bool {
	for _, name := range workload.ClaimsOf(p) {
		if c := w.claim(name); c == nil || c.Status.Phase != corev1.ClaimBound || !c.DeletionTimestamp.IsZero() {
			return false
		}
	}
	return true
}

func (w *world) isHealthy(p *corev1.Pod) bool {
	for _, name := range workload.ClaimsOf(p) {
		c := w.claim(name)
		if c == nil {
			continue
		}
		if isOld := strings.HasPrefix(c.Spec.VolumeName, "pv-old"); isOld && w.sick || !isOld && w.broken {
			return false
		}
	}
	return true
}

// protect lets a claim go that no pod with a node names.
func (w *world) protect() {
	for _, c := range w.claims() {
		isUsed := slices.ContainsFunc(w.pods(), func(p corev1.Pod) bool { return workload.Mounts(&p, c.Name) })
		if !c.DeletionTimestamp.IsZero() && !isUsed {
			w.setFinalizers(&c, "kubernetes.io/pvc-protection", false)
		}
	}
}

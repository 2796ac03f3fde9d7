package controllers

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// application is what is there of an application at one moment.
type application struct {
	// uid of the workload or the pod; empty for a claim.
	uid types.UID
	// claims that its pods mount, or would.
	claims []string
	// pods that belong to it and are not finished.
	pods []corev1.Pod
	// neighbours are all other pods of the namespace that are not finished.
	neighbours []corev1.Pod
	// all pods of the namespace, finished ones too.
	all []corev1.Pod
	// annotations are those of the pod template; nil where each pod is to be
	// asked for its own, see annotationsOf.
	annotations map[string]string
	templated   bool
}

// workload is what the kinds with a pod template have in common.
type workload struct {
	uid      types.UID
	template corev1.PodTemplateSpec
	// claims that don't stand in the template.
	claims []string
	// owners are the UIDs of the objects that own its pods.
	owners []types.UID
}

// findApplication looks an application up, past the cache.
func findApplication(ctx context.Context, live client.Reader, namespace string, ref v1alpha1.ApplicationReference) (*application, error) {
	all, err := podsIn(ctx, live, namespace)
	if err != nil {
		return nil, err
	}
	app := &application{all: all}
	pods := slices.DeleteFunc(slices.Clone(all), func(p corev1.Pod) bool { return finished(&p) })
	switch ref.Kind {
	case v1alpha1.KindPersistentVolumeClaim:
		app.claims = []string{ref.Name}
		app.split(pods, func(p *corev1.Pod) bool { return mounts(p, app.claims) })
		return app, nil
	case v1alpha1.KindPod:
		app.split(pods, func(p *corev1.Pod) bool { return p.Name == ref.Name })
		if len(app.pods) == 0 && slices.ContainsFunc(all, func(p corev1.Pod) bool { return p.Name == ref.Name }) {
			return nil, v1alpha1.Problemf(v1alpha1.ReasonPodNotRunning,
				"pod %s in namespace %q has finished: back up each of its claims, by a spec.applicationRef of kind PersistentVolumeClaim", ref.Name, namespace)
		}
		if len(app.pods) == 0 {
			return nil, notFound(ref, namespace)
		}
		app.uid = app.pods[0].UID
		app.addPodClaims()
		return app, nil
	}
	w, err := findWorkload(ctx, live, namespace, ref)
	if err != nil {
		return nil, err
	}
	app.split(pods, func(p *corev1.Pod) bool {
		owner := metav1.GetControllerOf(p)
		return owner != nil && slices.Contains(w.owners, owner.UID)
	})
	app.uid = w.uid
	app.annotations, app.templated = w.template.Annotations, true
	app.claims = append(claimsOf(w.template.Spec.Volumes), w.claims...)
	app.addPodClaims()
	return app, nil
}

func podsIn(ctx context.Context, live client.Reader, namespace string) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := live.List(ctx, &pods, client.InNamespace(namespace))
	return pods.Items, err
}

func finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func (a *application) split(pods []corev1.Pod, belongs func(*corev1.Pod) bool) {
	for i := range pods {
		if belongs(&pods[i]) {
			a.pods = append(a.pods, pods[i])
		} else {
			a.neighbours = append(a.neighbours, pods[i])
		}
	}
}

func (a *application) addPodClaims() {
	for _, p := range a.pods {
		a.claims = append(a.claims, claimsOf(p.Spec.Volumes)...)
	}
}

func findWorkload(ctx context.Context, live client.Reader, namespace string, ref v1alpha1.ApplicationReference) (*workload, error) {
	key := client.ObjectKey{Namespace: namespace, Name: ref.Name}
	get := func(obj client.Object) error {
		err := live.Get(ctx, key, obj)
		if apierrors.IsNotFound(err) {
			return notFound(ref, namespace)
		}
		return err
	}
	switch ref.Kind {
	case v1alpha1.KindStatefulSet:
		var s appsv1.StatefulSet
		if err := get(&s); err != nil {
			return nil, err
		}
		claims, err := statefulSetClaims(ctx, live, &s)
		return &workload{uid: s.UID, template: s.Spec.Template, claims: claims, owners: []types.UID{s.UID}}, err
	case v1alpha1.KindDaemonSet:
		var d appsv1.DaemonSet
		err := get(&d)
		return &workload{uid: d.UID, template: d.Spec.Template, owners: []types.UID{d.UID}}, err
	case v1alpha1.KindReplicaSet:
		var r appsv1.ReplicaSet
		err := get(&r)
		return &workload{uid: r.UID, template: r.Spec.Template, owners: []types.UID{r.UID}}, err
	case v1alpha1.KindReplicationController:
		var r corev1.ReplicationController
		err := get(&r)
		return &workload{uid: r.UID, template: ptr.Deref(r.Spec.Template, corev1.PodTemplateSpec{}), owners: []types.UID{r.UID}}, err
	}
	var d appsv1.Deployment
	if err := get(&d); err != nil {
		return nil, err
	}
	owners, err := replicaSetsOf(ctx, live, &d)
	return &workload{uid: d.UID, template: d.Spec.Template, owners: owners}, err
}

func notFound(ref v1alpha1.ApplicationReference, namespace string) error {
	return v1alpha1.PassingProblemf(v1alpha1.ReasonApplicationNotFound,
		"there is no %s %q in namespace %q: create it, or write another spec.applicationRef into a new backup", ref.Kind, ref.Name, namespace)
}

func replicaSetsOf(ctx context.Context, live client.Reader, d *appsv1.Deployment) ([]types.UID, error) {
	var sets appsv1.ReplicaSetList
	if err := live.List(ctx, &sets, client.InNamespace(d.Namespace)); err != nil {
		return nil, err
	}
	var owners []types.UID
	for i := range sets.Items {
		if metav1.IsControlledBy(&sets.Items[i], d) {
			owners = append(owners, sets.Items[i].UID)
		}
	}
	return owners, nil
}

// statefulSetClaims are the claims of every replica, whether its pod runs or
// not. Of a set that is scaled to zero they are those that its replicas had.
func statefulSetClaims(ctx context.Context, live client.Reader, s *appsv1.StatefulSet) ([]string, error) {
	var start int32
	if s.Spec.Ordinals != nil {
		start = s.Spec.Ordinals.Start
	}
	var names []string
	for _, t := range s.Spec.VolumeClaimTemplates {
		for i := range ptr.Deref(s.Spec.Replicas, 1) {
			names = append(names, fmt.Sprintf("%s-%s-%d", t.Name, s.Name, start+i))
		}
	}
	if ptr.Deref(s.Spec.Replicas, 1) > 0 || len(s.Spec.VolumeClaimTemplates) == 0 {
		return names, nil
	}
	var claims corev1.PersistentVolumeClaimList
	if err := live.List(ctx, &claims, client.InNamespace(s.Namespace)); err != nil {
		return nil, err
	}
	for _, t := range s.Spec.VolumeClaimTemplates {
		ofReplica := regexp.MustCompile("^" + regexp.QuoteMeta(t.Name+"-"+s.Name) + "-[0-9]+$")
		for _, c := range claims.Items {
			if ofReplica.MatchString(c.Name) {
				names = append(names, c.Name)
			}
		}
	}
	return names, nil
}

// annotationsOf are the annotations that speak for a pod: those of the
// template it was made from, or its own where there is none that we know.
func annotationsOf(ctx context.Context, live client.Reader, app *application, pod *corev1.Pod) (map[string]string, error) {
	if app.templated {
		return app.annotations, nil
	}
	owner := metav1.GetControllerOf(pod)
	if owner == nil || !isBuiltIn(owner) {
		return pod.Annotations, nil
	}
	switch kind := v1alpha1.ApplicationKind(owner.Kind); kind {
	case v1alpha1.KindReplicaSet, v1alpha1.KindStatefulSet, v1alpha1.KindDaemonSet, v1alpha1.KindReplicationController:
		ref := v1alpha1.ApplicationReference{Kind: kind, Name: owner.Name}
		if kind == v1alpha1.KindReplicaSet {
			ref = deploymentOr(ctx, live, pod.Namespace, ref)
		}
		w, err := findWorkload(ctx, live, pod.Namespace, ref)
		if err != nil {
			return nil, err
		}
		return w.template.Annotations, nil
	}
	return pod.Annotations, nil
}

// isBuiltIn is true for an owner of Kubernetes' own groups of workloads: others
// have kinds of the same names.
func isBuiltIn(owner *metav1.OwnerReference) bool {
	group, _, versioned := strings.Cut(owner.APIVersion, "/")
	return !versioned || group == appsv1.GroupName
}

// deploymentOr is the Deployment that owns a ReplicaSet, else the ReplicaSet.
func deploymentOr(ctx context.Context, live client.Reader, namespace string, set v1alpha1.ApplicationReference) v1alpha1.ApplicationReference {
	var r appsv1.ReplicaSet
	if err := live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: set.Name}, &r); err != nil {
		return set
	}
	if owner := metav1.GetControllerOf(&r); owner != nil && isBuiltIn(owner) && owner.Kind == string(v1alpha1.KindDeployment) {
		return v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: owner.Name}
	}
	return set
}

// claimsOf are the claims of a pod's volumes. The claims of generic ephemeral
// volumes are left out: they go with their pod, and so would what is restored.
func claimsOf(volumes []corev1.Volume) []string {
	var names []string
	for _, v := range volumes {
		if v.PersistentVolumeClaim != nil {
			names = append(names, v.PersistentVolumeClaim.ClaimName)
		}
	}
	return names
}

// mounts is true for a pod that has one of the claims mounted, or may soon, or
// had: it has a node.
func mounts(p *corev1.Pod, claims []string) bool {
	return p.Spec.NodeName != "" && slices.ContainsFunc(claimsOf(p.Spec.Volumes), func(c string) bool { return slices.Contains(claims, c) })
}

// writes is true for a pod that mounts one of the claims and not only to read.
func writes(p *corev1.Pod, claims []string) bool {
	writable := slices.DeleteFunc(slices.Clone(p.Spec.Volumes), func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim == nil || v.PersistentVolumeClaim.ReadOnly
	})
	return p.Spec.NodeName != "" && slices.ContainsFunc(claimsOf(writable), func(c string) bool { return slices.Contains(claims, c) })
}

// mounters are the UIDs of the pods that mount the claims, or have: a pod that
// came, wrote and ended between two looks is seen by the second.
func mounters(pods []corev1.Pod, claims []string) map[types.UID]bool {
	found := map[types.UID]bool{}
	for i := range pods {
		if mounts(&pods[i], claims) {
			found[pods[i].UID] = true
		}
	}
	return found
}

package controllers

import (
	"context"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"golang.org/x/sync/errgroup"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// observe reads what is there of a restore, past the cache: what is decided by
// it deletes claims. It reads all at once: the application may be down.
func (r *VolumeRestoreReconciler) observe(ctx context.Context, s *restoreScope) (snapshot.RestoreObserved, error) {
	o := snapshot.RestoreObserved{}
	var pods []corev1.Pod
	all, inTime := errgroup.WithContext(ctx)
	all.Go(func() (err error) { o.Claims, pods, err = r.claimsAndPods(inTime, s.Namespace); return err })
	all.Go(func() (err error) { o.Volumes, err = r.volumes(inTime, namedVolumes(s)); return err })
	if s.Status.Application != nil && s.Status.Strategy != v1alpha1.StrategyClaimsOnly {
		all.Go(func() (err error) {
			o.Workload, _, err = r.workload(inTime, s.Namespace, *s.Status.Application)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return o, err
	}
	o.Proofs = proofsOf(s.VolumeRestore, pods)
	sortPods(&o, pods)
	return o, r.addBound(ctx, s, o)
}

// sortPods finds the workload's pods. A pod whose processes have ended has its
// volumes still, until the kubelet lets it go; one that failed long ago is
// left behind.
func sortPods(o *snapshot.RestoreObserved, pods []corev1.Pod) {
	for i := range pods {
		switch {
		case o.Workload == nil || !o.Workload.Owns(&pods[i]):
		case snapshot.Finished(&pods[i]) && pods[i].DeletionTimestamp.IsZero():
			o.Finished = append(o.Finished, pods[i])
		default:
			o.Pods = append(o.Pods, pods[i])
		}
	}
}

func proofsOf(v *v1alpha1.VolumeRestore, pods []corev1.Pod) map[string]*corev1.Pod {
	proofs := map[string]*corev1.Pod{}
	for i := range pods {
		if pods[i].Labels[v1alpha1.LabelRestoreUID] == string(v.UID) && metav1.IsControlledBy(&pods[i], v) {
			proofs[pods[i].Name] = &pods[i]
		}
	}
	return proofs
}

func namedVolumes(s *restoreScope) []string {
	var names []string
	for _, c := range s.Status.Claims {
		names = append(names, c.PreviousVolume, c.RestoredVolume, c.CurrentVolume)
	}
	return names
}

// addBound reads the volumes that the claims are bound to now, where the
// status doesn't name them.
func (r *VolumeRestoreReconciler) addBound(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) error {
	var names []string
	for i := range s.Status.Claims {
		c := &s.Status.Claims[i]
		for _, claim := range []string{c.RestoredClaim, c.PreviousClaim} {
			if bound := o.Claims[claim]; bound != nil && o.Volumes[bound.Spec.VolumeName] == nil {
				names = append(names, bound.Spec.VolumeName)
			}
		}
	}
	more, err := r.volumes(ctx, names)
	maps.Copy(o.Volumes, more)
	return err
}

// volumes reads those of the names that are there.
func (r *VolumeRestoreReconciler) volumes(ctx context.Context, names []string) (map[string]*corev1.PersistentVolume, error) {
	read := map[string]*corev1.PersistentVolume{}
	for _, name := range names {
		if name != "" {
			read[name] = &corev1.PersistentVolume{}
		}
	}
	all, ctx := errgroup.WithContext(ctx)
	for name, volume := range read {
		all.Go(func() error {
			return client.IgnoreNotFound(r.Live.Get(ctx, client.ObjectKey{Name: name}, volume))
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	maps.DeleteFunc(read, func(_ string, v *corev1.PersistentVolume) bool { return v.Name == "" })
	return read, nil
}

// workload reads an application that can be scaled, nil where there is none.
func (r *VolumeRestoreReconciler) workload(ctx context.Context, namespace string, ref v1alpha1.ApplicationReference) (*snapshot.Workload, client.Object, error) {
	key := client.ObjectKey{Namespace: namespace, Name: ref.Name}
	switch ref.Kind {
	case v1alpha1.KindDeployment:
		var d appsv1.Deployment
		if err := r.Live.Get(ctx, key, &d); err != nil {
			return nil, nil, client.IgnoreNotFound(err)
		}
		sets, err := r.setsOf(ctx, &d)
		return snapshot.DeploymentWorkload(&d, sets), &d, err
	case v1alpha1.KindStatefulSet:
		var set appsv1.StatefulSet
		if err := r.Live.Get(ctx, key, &set); err != nil {
			return nil, nil, client.IgnoreNotFound(err)
		}
		return snapshot.StatefulSetWorkload(&set), &set, nil
	case v1alpha1.KindReplicaSet:
		var set appsv1.ReplicaSet
		if err := r.Live.Get(ctx, key, &set); err != nil {
			return nil, nil, client.IgnoreNotFound(err)
		}
		return snapshot.ReplicaSetWorkload(&set), &set, nil
	}
	return nil, nil, nil
}

func (r *VolumeRestoreReconciler) setsOf(ctx context.Context, d *appsv1.Deployment) ([]appsv1.ReplicaSet, error) {
	var all appsv1.ReplicaSetList
	if err := r.Live.List(ctx, &all, client.InNamespace(d.Namespace)); err != nil {
		return nil, err
	}
	var own []appsv1.ReplicaSet
	for _, set := range all.Items {
		if metav1.IsControlledBy(&set, d) {
			own = append(own, set)
		}
	}
	return own, nil
}

// changeWorkload changes the application where nobody else has changed it
// since it was read.
func (r *VolumeRestoreReconciler) changeWorkload(ctx context.Context, s *restoreScope, change func(client.Object)) error {
	_, obj, err := r.workload(ctx, s.Namespace, *s.Status.Application)
	if err != nil || obj == nil {
		return err
	}
	base := obj.DeepCopyObject().(client.Object)
	change(obj)
	err = r.Patch(ctx, obj, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// scale tells the application how many replicas to have, where nobody has
// changed it since it was read.
func (r *VolumeRestoreReconciler) scale(ctx context.Context, w *snapshot.Workload, n int32) error {
	meta := metav1.ObjectMeta{Namespace: w.Meta.Namespace, Name: w.Meta.Name}
	var obj client.Object
	switch w.Ref.Kind {
	case v1alpha1.KindStatefulSet:
		obj = &appsv1.StatefulSet{ObjectMeta: meta}
	case v1alpha1.KindReplicaSet:
		obj = &appsv1.ReplicaSet{ObjectMeta: meta}
	default:
		obj = &appsv1.Deployment{ObjectMeta: meta}
	}
	patch := fmt.Sprintf(`{"metadata":{"resourceVersion":%q},"spec":{"replicas":%d}}`, w.Meta.ResourceVersion, n)
	return client.IgnoreNotFound(r.Patch(ctx, obj, client.RawPatch(types.MergePatchType, []byte(patch))))
}

func setPaused(obj client.Object, paused bool) {
	if d, ok := obj.(*appsv1.Deployment); ok {
		d.Spec.Paused = paused
	}
}

func templateOf(obj client.Object) *corev1.PodTemplateSpec {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		return &o.Spec.Template
	case *appsv1.StatefulSet:
		return &o.Spec.Template
	case *appsv1.ReplicaSet:
		return &o.Spec.Template
	}
	return &corev1.PodTemplateSpec{}
}

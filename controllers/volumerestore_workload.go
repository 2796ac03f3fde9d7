package controllers

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// scalable reads an application that can be scaled, nil where there is none.
func (r *VolumeRestoreReconciler) scalable(ctx context.Context, namespace string, ref v1alpha1.ApplicationReference) (client.Object, error) {
	obj := newScalable(ref.Kind)
	if obj == nil {
		return nil, nil
	}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, obj)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return obj, err
}

func newScalable(kind v1alpha1.ApplicationKind) client.Object {
	switch kind {
	case v1alpha1.KindDeployment:
		return &appsv1.Deployment{}
	case v1alpha1.KindStatefulSet:
		return &appsv1.StatefulSet{}
	case v1alpha1.KindReplicaSet:
		return &appsv1.ReplicaSet{}
	}
	return nil
}

// workload is what there is to know of an application that was read, nil where
// there is none.
func (r *VolumeRestoreReconciler) workload(ctx context.Context, obj client.Object) (*snapshot.Workload, error) {
	d, ok := obj.(*appsv1.Deployment)
	if !ok {
		return workloadOf(obj, nil), nil
	}
	sets, err := r.setsOf(ctx, d)
	return workloadOf(d, sets), err
}

func workloadOf(obj client.Object, sets []appsv1.ReplicaSet) *snapshot.Workload {
	switch o := obj.(type) {
	case *appsv1.Deployment:
		return snapshot.DeploymentWorkload(o, sets)
	case *appsv1.StatefulSet:
		return snapshot.StatefulSetWorkload(o)
	case *appsv1.ReplicaSet:
		return snapshot.ReplicaSetWorkload(o)
	}
	return nil
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
	obj, err := r.scalable(ctx, s.Namespace, *s.Status.Application)
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
// changed what it is told since it was read. Its generation says so; its
// resourceVersion also changes with its status, which its controller writes
// just when the pod template has been changed.
func (r *VolumeRestoreReconciler) scale(ctx context.Context, w *snapshot.Workload, n int32) error {
	obj := newScalable(w.Ref.Kind)
	obj.SetNamespace(w.Meta.Namespace)
	obj.SetName(w.Meta.Name)
	patch := fmt.Sprintf(`[{"op":"test","path":"/metadata/uid","value":%q},{"op":"test","path":"/metadata/generation","value":%d},{"op":"add","path":"/spec/replicas","value":%d}]`,
		w.Meta.UID, w.Meta.Generation, n)
	return client.IgnoreNotFound(r.Patch(ctx, obj, client.RawPatch(types.JSONPatchType, []byte(patch))))
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

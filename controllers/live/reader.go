package live

import (
	"context"
	"maps"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"golang.org/x/sync/errgroup"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/workload"
)

// Reader reads the cluster.
type Reader struct{ client.Reader }

// Workload is a workload, nil where there is none of that name or its kind makes
// no pods.
func (r Reader) Workload(ctx context.Context, namespace string, ref v1alpha1.ApplicationReference) (*workload.Workload, error) {
	obj, err := r.WorkloadObject(ctx, namespace, ref)
	if err != nil || obj == nil {
		return nil, err
	}
	return r.WithSets(ctx, obj)
}

// WorkloadObject is the object of a workload, nil where there is none of that
// name or its kind makes no pods.
func (r Reader) WorkloadObject(ctx context.Context, namespace string, ref v1alpha1.ApplicationReference) (workload.Object, error) {
	obj := workload.Empty(ref.Kind)
	if obj == nil {
		return nil, nil
	}
	err := r.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, obj)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return obj, err
}

// WithSets is the workload of an object, with the ReplicaSets of a Deployment.
func (r Reader) WithSets(ctx context.Context, obj workload.Object) (*workload.Workload, error) {
	d, ok := obj.(*appsv1.Deployment)
	if !ok {
		return workload.Of(obj, nil), nil
	}
	var all appsv1.ReplicaSetList
	if err := r.List(ctx, &all, client.InNamespace(d.Namespace)); err != nil {
		return nil, err
	}
	return workload.Of(d, workload.OwnedSets(d, all.Items)), nil
}

// Pods are all of a namespace.
func (r Reader) Pods(ctx context.Context, namespace string) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := r.List(ctx, &pods, client.InNamespace(namespace))
	return pods.Items, err
}

// Nodes are all of the cluster.
func (r Reader) Nodes(ctx context.Context) ([]corev1.Node, error) {
	var nodes corev1.NodeList
	err := r.List(ctx, &nodes)
	return nodes.Items, err
}

// Claims are all of a namespace, by their names.
func (r Reader) Claims(ctx context.Context, namespace string) (map[string]*corev1.PersistentVolumeClaim, error) {
	var claims corev1.PersistentVolumeClaimList
	if err := r.List(ctx, &claims, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	byName := map[string]*corev1.PersistentVolumeClaim{}
	for i := range claims.Items {
		byName[claims.Items[i].Name] = &claims.Items[i]
	}
	return byName, nil
}

// Workloads are all of the namespace that make pods by themselves.
func (r Reader) Workloads(ctx context.Context, namespace string) ([]workload.Workload, error) {
	sets := &appsv1.ReplicaSetList{}
	lists := []client.ObjectList{
		sets, &appsv1.DeploymentList{}, &appsv1.StatefulSetList{}, &appsv1.DaemonSetList{},
		&corev1.ReplicationControllerList{}, &batchv1.JobList{}, &batchv1.CronJobList{},
	}
	all, ctx := errgroup.WithContext(ctx)
	for _, list := range lists {
		all.Go(func() error { return r.List(ctx, list, client.InNamespace(namespace)) })
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	var found []workload.Workload
	for _, list := range lists {
		err := meta.EachListItem(list, func(obj runtime.Object) error {
			if w := workloadIn(obj, sets.Items); w != nil && w.Makes() {
				found = append(found, *w)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

func workloadIn(obj runtime.Object, sets []appsv1.ReplicaSet) *workload.Workload {
	o, ok := obj.(workload.Object)
	if !ok {
		return nil
	}
	return workload.Of(o, workload.OwnedSets(o, sets))
}

// Snapshot is a snapshot with its content, each nil where it isn't there.
func (r Reader) Snapshot(ctx context.Context, namespace, name string) (*snapshotv1.VolumeSnapshot, *snapshotv1.VolumeSnapshotContent, error) {
	snap, content := &snapshotv1.VolumeSnapshot{}, &snapshotv1.VolumeSnapshotContent{}
	err := r.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, snap)
	if err != nil {
		return nil, nil, client.IgnoreNotFound(err)
	}
	err = r.Get(ctx, client.ObjectKey{Name: cut.ContentName(snap)}, content)
	if err != nil {
		return snap, nil, client.IgnoreNotFound(err)
	}
	return snap, content, nil
}

// Named reads those of the names that are there, all at once. An empty name is
// nobody's.
func Named[T client.Object](ctx context.Context, from client.Reader, namespace string, names []string, empty func() T) (map[string]T, error) {
	read := map[string]T{}
	for _, name := range names {
		if name != "" {
			read[name] = empty()
		}
	}
	all, ctx := errgroup.WithContext(ctx)
	for name, obj := range read {
		all.Go(func() error {
			return client.IgnoreNotFound(from.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, obj))
		})
	}
	if err := all.Wait(); err != nil {
		return nil, err
	}
	maps.DeleteFunc(read, func(_ string, obj T) bool { return obj.GetName() == "" })
	return read, nil
}

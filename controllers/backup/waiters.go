package backup

import (
	"context"
	"maps"
	"slices"
	"sync"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// waiters are the attempts that wait for something to change, by what they
// wait for. One handler for each kind wakes them, so that what an attempt costs
// doesn't grow with the cluster: an event of an object that nobody waits for
// costs one look into a map. It is memory only: who waits is an attempt of this
// process.
type waiters struct {
	mu sync.Mutex
	by map[waitKey]map[chan struct{}]bool
	// contents are those of what is waited for, by their names.
	contents map[string]*snapshotv1.VolumeSnapshotContent
}

// waitKey is what is waited for: a snapshot or a group, which stands for its
// content too, or the deletion of a backup.
type waitKey struct {
	namespace, name string
	deletion        bool
}

func newWaiters() *waiters {
	return &waiters{by: map[waitKey]map[chan struct{}]bool{}, contents: map[string]*snapshotv1.VolumeSnapshotContent{}}
}

// add has a channel that gets a value after something of the keys has changed:
// one value for all that has changed since it was looked.
func (w *waiters) add(keys ...waitKey) (changed <-chan struct{}, stop func()) {
	waiter := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range keys {
		if w.by[key] == nil {
			w.by[key] = map[chan struct{}]bool{}
		}
		w.by[key][waiter] = true
	}
	return waiter, func() { w.remove(waiter, keys) }
}

func (w *waiters) remove(waiter chan struct{}, keys []waitKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range keys {
		if delete(w.by[key], waiter); len(w.by[key]) == 0 {
			delete(w.by, key)
		}
	}
	maps.DeleteFunc(w.contents, func(_ string, c *snapshotv1.VolumeSnapshotContent) bool { return w.by[keyOf(c)] == nil })
}

func (w *waiters) isAwaited(key waitKey) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.by[key] != nil
}

// keepContent keeps a content that somebody waits for, and wakes who does.
func (w *waiters) keepContent(c *snapshotv1.VolumeSnapshotContent) {
	w.mu.Lock()
	if w.by[keyOf(c)] != nil {
		w.contents[c.Name] = c
	}
	w.mu.Unlock()
	w.wake(keyOf(c))
}

func (w *waiters) forgetContent(c *snapshotv1.VolumeSnapshotContent) {
	w.mu.Lock()
	delete(w.contents, c.Name)
	w.mu.Unlock()
	w.wake(keyOf(c))
}

// content is nil where nobody waits for it, or it hasn't been seen since somebody
// does.
func (w *waiters) content(name string) *snapshotv1.VolumeSnapshotContent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.contents[name]
}

func (w *waiters) allContents() []*snapshotv1.VolumeSnapshotContent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.contents))
}

// wake never blocks: a waiter that hasn't looked since has a value already.
func (w *waiters) wake(key waitKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for waiter := range w.by[key] {
		select {
		case waiter <- struct{}{}:
		default:
		}
	}
}

type queue = workqueue.TypedRateLimitingInterface[ctrl.Request]

// onChange wakes who waits for an object, and does what next does.
func (w *waiters) onChange(next handler.EventHandler) handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			w.wake(keyOf(e.Object))
			next.Create(ctx, e, q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			w.wake(keyOf(e.ObjectNew))
			next.Update(ctx, e, q)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) {
			w.wake(keyOf(e.Object))
			next.Delete(ctx, e, q)
		},
	}
}

// onDeletion wakes who waits for the deletion of a backup to be asked for. What is
// new it hands on.
func (w *waiters) onDeletion(created func(context.Context, event.CreateEvent, queue)) handler.EventHandler {
	wake := func(obj client.Object) {
		if !obj.GetDeletionTimestamp().IsZero() {
			w.wake(deletionOf(obj))
		}
	}
	return handler.Funcs{
		CreateFunc: created,
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, _ queue) { wake(e.ObjectNew) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ queue) { w.wake(deletionOf(e.Object)) },
	}
}

func deletionOf(backup client.Object) waitKey {
	return waitKey{namespace: backup.GetNamespace(), name: backup.GetName(), deletion: true}
}

// keyOf is the snapshot, or the group, that an object is or is the content of.
func keyOf(obj client.Object) waitKey {
	switch o := obj.(type) {
	case *snapshotv1.VolumeSnapshotContent:
		return waitKey{namespace: o.Spec.VolumeSnapshotRef.Namespace, name: o.Spec.VolumeSnapshotRef.Name}
	case *unstructured.Unstructured:
		if o.GetKind() == kindGroupContent {
			namespace, _, _ := unstructured.NestedString(o.Object, "spec", "volumeGroupSnapshotRef", "namespace")
			name, _, _ := unstructured.NestedString(o.Object, "spec", "volumeGroupSnapshotRef", "name")
			return waitKey{namespace: namespace, name: name}
		}
	}
	return waitKey{namespace: obj.GetNamespace(), name: obj.GetName()}
}

// untilDeleted is a context that ends with errDeleted once the deletion of the
// backup is asked for, or was before: the cache has what its handlers were told.
func (w *run) untilDeleted(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	changed, remove := w.waiters.add(deletionOf(w.VolumeBackup))
	var b v1alpha1.VolumeBackup
	if err := w.Cache.Get(ctx, client.ObjectKeyFromObject(w.VolumeBackup), &b); err == nil && !b.DeletionTimestamp.IsZero() {
		cancel(errDeleted)
	}
	go func() {
		select {
		case <-changed:
			cancel(errDeleted)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		remove()
		cancel(nil)
	}
}

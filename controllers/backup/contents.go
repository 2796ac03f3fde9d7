package backup

import (
	"context"
	"fmt"
	"sync"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// contents watches all VolumeSnapshotContents and keeps those that attempts wait
// for. A content tells of the cut one hop earlier than its snapshot; once it has,
// nobody asks the cache for it. So what is cut takes no memory, however much it
// is and whoever cut it. It is a source of a controller, whose workers start once
// it is synced.
type contents struct {
	from    client.WithWatch
	waiters *waiters

	syncing sync.Once
	synced  chan struct{}
}

func watchContents(mgr ctrl.Manager, w *waiters) (*contents, error) {
	from, err := client.NewWithWatch(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
	return &contents{from: from, waiters: w, synced: make(chan struct{})}, err
}

// Start implements source.Source.
func (c *contents) Start(ctx context.Context, _ queue) error {
	lw := &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list := &snapshotv1.VolumeSnapshotContentList{}
			return list, c.from.List(ctx, list, &client.ListOptions{Raw: &o})
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return c.from.Watch(ctx, &snapshotv1.VolumeSnapshotContentList{}, &client.ListOptions{Raw: &o})
		},
	}
	reflector := toolscache.NewReflectorWithOptions(lw, &snapshotv1.VolumeSnapshotContent{}, c, toolscache.ReflectorOptions{Name: c.String()})
	go reflector.RunWithContext(ctx)
	return nil
}

// WaitForSync implements source.SyncingSource.
func (c *contents) WaitForSync(ctx context.Context) error {
	select {
	case <-c.synced:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("VolumeSnapshotContents could not be listed: %w", context.Cause(ctx))
	}
}

func (c *contents) String() string { return "VolumeSnapshotContents that are waited for" }

// Transformer implements toolscache.TransformingStore.
func (c *contents) Transformer() toolscache.TransformFunc { return OnlyCut }

// Add implements toolscache.ReflectorStore.
func (c *contents) Add(obj any) error { return c.Update(obj) }

// Update implements toolscache.ReflectorStore.
func (c *contents) Update(obj any) error {
	only, err := OnlyCut(obj)
	if content, ok := only.(*snapshotv1.VolumeSnapshotContent); ok {
		c.waiters.keep(content)
	}
	return err
}

// Delete implements toolscache.ReflectorStore.
func (c *contents) Delete(obj any) error {
	if content, ok := obj.(*snapshotv1.VolumeSnapshotContent); ok {
		c.waiters.forget(content)
	}
	return nil
}

// Replace implements toolscache.ReflectorStore. It has what is there after a watch
// was lost; one that is gone since is missed by who waits when it reads past the
// cache, or when its snapshot goes.
func (c *contents) Replace(objs []any, _ string) error {
	for _, obj := range objs {
		if err := c.Update(obj); err != nil {
			return err
		}
	}
	c.syncing.Do(func() { close(c.synced) })
	return nil
}

// Resync implements toolscache.ReflectorStore. No reflector of ours asks for it.
func (c *contents) Resync() error { return nil }

// watched reads by the watches: contents only while they are waited for.
type watched struct {
	client.Reader
	waiters *waiters
}

// Get implements client.Reader.
func (r watched) Get(ctx context.Context, key client.ObjectKey, obj client.Object, options ...client.GetOption) error {
	content, ok := obj.(*snapshotv1.VolumeSnapshotContent)
	if !ok {
		return r.Reader.Get(ctx, key, obj, options...)
	}
	kept := r.waiters.content(key.Name)
	if kept == nil {
		return apierrors.NewNotFound(snapshotv1.Resource("volumesnapshotcontents"), key.Name)
	}
	kept.DeepCopyInto(content)
	return nil
}

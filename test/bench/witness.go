package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/policy"
)

// follow tells of each change of a kind from now on, until ctx ends. The API
// server ends a watch now and then: it is taken up where it was. failed is told
// where that isn't possible.
func (c *controlPlane) follow(ctx context.Context, list client.ObjectList, tell func(watch.Event), failed func(error)) error {
	if err := c.List(ctx, list, client.Limit(1)); err != nil {
		return err
	}
	watches := &cache.ListWatch{WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		return c.Watch(ctx, list, &client.ListOptions{Raw: &o})
	}}
	changes, err := watchtools.NewRetryWatcherWithContext(ctx, list.GetResourceVersion(), watches)
	if err != nil {
		return err
	}
	go func() {
		for change := range changes.ResultChan() {
			if change.Type == watch.Error {
				failed(fmt.Errorf("the watch of %T: %w", list, apierrors.FromObject(change.Object)))
				return
			}
			tell(change)
		}
		if ctx.Err() == nil {
			failed(fmt.Errorf("the watch of %T ended", list))
		}
	}()
	return nil
}

// witness sees by a watch, as anybody would, when backups are created and when
// they end.
type witness struct {
	mu sync.Mutex
	// created and ended are when that was seen.
	created, ended map[client.ObjectKey]time.Time
	// failed is the message of a backup that failed, empty where none has.
	failed string
}

func (c *controlPlane) startWitness(ctx context.Context, failed func(error)) (*witness, error) {
	w := &witness{created: map[client.ObjectKey]time.Time{}, ended: map[client.ObjectKey]time.Time{}}
	return w, c.follow(ctx, &v1alpha1.VolumeBackupList{}, w.see, failed)
}

func (w *witness) see(change watch.Event) {
	now := time.Now()
	b, is := change.Object.(*v1alpha1.VolumeBackup)
	if !is || change.Type == watch.Deleted {
		return
	}
	key := client.ObjectKeyFromObject(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	if change.Type == watch.Added {
		w.created[key] = now
	}
	if _, was := w.ended[key]; !was && (policy.IsComplete(b) || policy.HasFailed(b)) {
		w.ended[key] = now
	}
	if policy.HasFailed(b) {
		w.failed = fmt.Sprintf("%s failed: %s", key, b.Status.Message)
	}
}

// allCreated is when the last of the backups was created, false where one isn't
// yet, and allEnded when the last of them ended.
func (w *witness) allCreated(keys []client.ObjectKey) (last time.Time, all bool) {
	return w.last(w.created, keys)
}

func (w *witness) allEnded(keys []client.ObjectKey) (last time.Time, all bool) {
	return w.last(w.ended, keys)
}

func (w *witness) last(moments map[client.ObjectKey]time.Time, keys []client.ObjectKey) (last time.Time, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, key := range keys {
		at, is := moments[key]
		if !is {
			return last, false
		}
		if at.After(last) {
			last = at
		}
	}
	return last, true
}

// createdAt is when a backup was created, zero where it wasn't.
func (w *witness) createdAt(key client.ObjectKey) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.created[key]
}

// check is an error where a backup failed: what was measured then is something
// else.
func (w *witness) check() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.failed != "" {
		return errors.New(w.failed)
	}
	return nil
}

package policy

import (
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/policy"
)

// deletions are those of backups that retention didn't ask for, of each policy,
// for as long as they matter. They are in memory only. What a restart forgets is
// up to nineteen deletions of its last minute; and what is deleted while no
// manager runs nobody sees. A mass deletion is in the policy's status once it is
// seen, and outlasts the manager.
type deletions struct {
	mu sync.Mutex
	// byPolicy are in order. A policy of the cluster is without a namespace.
	byPolicy map[types.NamespacedName][]policy.Deletion
	// own are the backups that retention deletes, and since when.
	own map[types.UID]time.Time
	// swept is when what doesn't matter any more was last forgotten.
	swept time.Time
}

const (
	// ownFor is how long it is known that a deletion is retention's. The watches,
	// one for each kind of policy, tell of it in a moment, or after an outage.
	ownFor = time.Hour
	// sweepEvery is how often all policies are gone through: of one that is no
	// more, nobody asks.
	sweepEvery = time.Minute
)

// expect says that retention is about to delete a backup.
func (d *deletions) expect(uid types.UID, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.own == nil {
		d.own = map[types.UID]time.Time{}
	}
	d.own[uid] = now
}

// note notes that the deletion of a policy's backup has begun, unless it is
// retention's.
func (d *deletions) note(of types.NamespacedName, b *v1alpha1.VolumeBackup, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweep(now)
	if _, isOwn := d.own[b.UID]; isOwn {
		return
	}
	if d.byPolicy == nil {
		d.byPolicy = map[types.NamespacedName][]policy.Deletion{}
	}
	d.byPolicy[of] = append(policy.Current(d.byPolicy[of], now), policy.Deletion{At: now, Backup: b})
}

// of are the deletions of a policy's backups, with a mass deletion that is over
// and that nobody has forgotten yet.
func (d *deletions) of(key types.NamespacedName) []policy.Deletion {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.byPolicy[key])
}

// drop forgets those of a policy that don't count.
func (d *deletions) drop(key types.NamespacedName, doesNotCount func(policy.Deletion) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.byPolicy[key] = slices.DeleteFunc(d.byPolicy[key], doesNotCount)
}

// forget forgets those of a policy that don't matter any more.
func (d *deletions) forget(key types.NamespacedName, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keepCurrent(key, now)
}

func (d *deletions) keepCurrent(key types.NamespacedName, now time.Time) {
	if current := policy.Current(d.byPolicy[key], now); len(current) > 0 {
		d.byPolicy[key] = current
	} else {
		delete(d.byPolicy, key)
	}
}

func (d *deletions) sweep(now time.Time) {
	if now.Sub(d.swept) < sweepEvery {
		return
	}
	d.swept = now
	for key := range d.byPolicy {
		d.keepCurrent(key, now)
	}
	for uid, since := range d.own {
		if now.Sub(since) > ownFor {
			delete(d.own, uid)
		}
	}
}

// noting is a handler of backups that notes whose deletion begins before it wakes
// their policies. What is being deleted when it is first seen isn't noted: a
// manager before this one may have asked for that, as retention.
type noting struct {
	handler.EventHandler
	note func(context.Context, client.Object)
}

// notesDeletions wakes the policies of one kind.
func notesDeletions[T object](r *Reconciler) handler.EventHandler {
	return noting{
		EventHandler: handler.EnqueueRequestsFromMapFunc(policyOf[T]),
		note: func(ctx context.Context, obj client.Object) {
			b, is := obj.(*v1alpha1.VolumeBackup)
			if !is {
				return
			}
			for _, its := range policyOf[T](ctx, b) {
				r.deletions.note(its.NamespacedName, b, r.Clock.Now())
			}
		},
	}
}

// Update sees the deletion begin of a backup that a finalizer keeps.
func (n noting) Update(ctx context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) {
	if e.ObjectOld.GetDeletionTimestamp().IsZero() && !e.ObjectNew.GetDeletionTimestamp().IsZero() {
		n.note(ctx, e.ObjectNew)
	}
	n.EventHandler.Update(ctx, e, queue)
}

// Delete sees the deletion of one that nothing keeps, or whose deletion began
// while nothing could be watched.
func (n noting) Delete(ctx context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) {
	if e.Object.GetDeletionTimestamp().IsZero() {
		n.note(ctx, e.Object)
	}
	n.EventHandler.Delete(ctx, e, queue)
}

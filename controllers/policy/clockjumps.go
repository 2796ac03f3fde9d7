package policy

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/lull-dev/lull/snapshot/schedule"
)

// readEvery is how often the clocks are read: how late a policy can be after the
// clock was put, or the machine woke.
const readEvery = 10 * time.Second

// clocks reads the wall clock, and the monotonic one since some moment.
type clocks func() (wall time.Time, monotonic time.Duration)

// clocksOf reads the time by which policies go, and the monotonic clock of this
// machine, of which each of the machine's times has a reading.
func clocksOf(now, machine clock.PassiveClock) clocks {
	began := machine.Now()
	return func() (time.Time, time.Duration) {
		return now.Now().Round(0), machine.Since(began) // Round strips a monotonic reading
	}
}

// clockJumps is a source that wakes all policies of a kind when the wall clock was
// put or the machine slept. A policy waits for its next due time by a timer, which
// runs by the monotonic clock and then fires at another moment than was meant.
func clockJumps[T object](r *Reconciler) source.Func {
	return func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
		read := clocksOf(r.Clock, r.Machine)
		go func() {
			ticker := time.NewTicker(readEvery)
			defer ticker.Stop()
			watchClocks(ctx, ticker.C, read, func(by time.Duration) {
				log.FromContext(ctx).Info("the wall clock was put, or the machine slept: looking at all policies", "by", by.String())
				wakeAll[T](ctx, r, queue)
			})
		}()
		return nil
	}
}

// watchClocks reads the clocks at each tick, until its context ends. What they
// come apart by adds up until it is told.
func watchClocks(ctx context.Context, ticks <-chan time.Time, read clocks, jumped func(by time.Duration)) {
	wall, monotonic := read()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		nowWall, nowMonotonic := read()
		if by := schedule.Jump(nowWall.Sub(wall), nowMonotonic-monotonic); by != 0 {
			jumped(by)
			wall, monotonic = nowWall, nowMonotonic
		}
	}
}

// wakeAll has all policies of a kind looked at.
func wakeAll[T object](ctx context.Context, r *Reconciler, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) {
	var empty T
	all := listOf(empty)
	if err := r.List(ctx, all, client.UnsafeDisableDeepCopy); err != nil {
		return // the cache isn't there: every policy comes again when it is
	}
	_ = meta.EachListItem(all, func(item runtime.Object) error { // it can't fail: the function never does
		if p, is := item.(client.Object); is {
			queue.Add(ctrl.Request{NamespacedName: client.ObjectKeyFromObject(p)})
		}
		return nil
	})
}

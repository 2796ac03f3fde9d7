package controllers

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// room is where an attempt takes its place before it freezes anything: a
// freeze that queues for its driver afterwards is a long freeze. It is memory
// only: what it guards, an attempt under way, ends with this process too.
type room struct {
	perDriver int64
	// attempts that may be under way, or wait for a driver. They hold a worker
	// each, and must not hold all: what is frozen needs one to be thawed.
	attempts chan struct{}

	mu      sync.Mutex
	drivers map[string]*semaphore.Weighted
	busy    map[types.UID]bool
}

func newRoom(perDriver int64, workers int) *room {
	return &room{
		perDriver: perDriver,
		attempts:  make(chan struct{}, max(1, workers*3/4)),
		drivers:   map[string]*semaphore.Weighted{},
		busy:      map[types.UID]bool{},
	}
}

// begin takes one of the attempts, where there is one left.
func (r *room) begin() (end func(), ok bool) {
	select {
	case r.attempts <- struct{}{}:
		return func() { <-r.attempts }, true
	default:
		return nil, false
	}
}

// occupy marks pods, or claims, as being an attempt's. It is false, and marks
// none, where one is another's already.
func (r *room) occupy(uids []types.UID) (leave func(), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.ContainsFunc(uids, func(uid types.UID) bool { return r.busy[uid] }) {
		return nil, false
	}
	for _, uid := range uids {
		r.busy[uid] = true
	}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, uid := range uids {
			delete(r.busy, uid)
		}
	}, true
}

// tryEnter takes room at every driver, where all have it now.
func (r *room) tryEnter(volumes []v1alpha1.VolumeStatus) (leave func(), ok bool) {
	leave, err := r.take(volumes, func(driver *semaphore.Weighted, n int64) error {
		if driver.TryAcquire(n) {
			return nil
		}
		return errNoRoom
	})
	return leave, err == nil
}

var errNoRoom = errors.New("the driver is busy")

// enter waits, first come first served, until every driver has room for the
// snapshots.
func (r *room) enter(ctx context.Context, volumes []v1alpha1.VolumeStatus) (leave func(), err error) {
	return r.take(volumes, func(driver *semaphore.Weighted, n int64) error { return driver.Acquire(ctx, n) })
}

// take acquires from each driver as much as the volumes need, or nothing. An
// application with more volumes than a driver takes at once takes all of the
// driver.
func (r *room) take(volumes []v1alpha1.VolumeStatus, acquire func(*semaphore.Weighted, int64) error) (leave func(), err error) {
	need := map[string]int64{}
	for _, v := range volumes {
		need[v.Driver]++
	}
	var held []func()
	leave = func() {
		for _, release := range held {
			release()
		}
	}
	// One order for all, so that two never wait for each other.
	for _, name := range slices.Sorted(maps.Keys(need)) {
		driver, n := r.driver(name), min(need[name], r.perDriver)
		if err := acquire(driver, n); err != nil {
			leave()
			return nil, err
		}
		inFlight := snapshotsInFlight.WithLabelValues(name)
		inFlight.Add(float64(need[name]))
		held = append(held, func() {
			inFlight.Sub(float64(need[name]))
			driver.Release(n)
		})
	}
	return leave, nil
}

func (r *room) driver(name string) *semaphore.Weighted {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.drivers[name] == nil {
		r.drivers[name] = semaphore.NewWeighted(r.perDriver)
	}
	return r.drivers[name]
}

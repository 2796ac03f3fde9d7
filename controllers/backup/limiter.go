package backup

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

// limiter bounds what is under way at once. An attempt acquires all that it
// needs before it freezes anything: a freeze that queues for its driver
// afterwards is a long freeze. It is memory only: what it guards, an attempt
// under way, ends with this process too.
type limiter struct {
	perDriver int64

	mu      sync.Mutex
	drivers map[string]*semaphore.Weighted
	locked  map[types.UID]bool
}

func newLimiter(perDriver int64) *limiter {
	return &limiter{
		perDriver: perDriver,
		drivers:   map[string]*semaphore.Weighted{},
		locked:    map[types.UID]bool{},
	}
}

// lock keeps pods, or claims, for one attempt. It is false, and keeps none,
// where one is another's already.
func (l *limiter) lock(uids []types.UID) (release func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(uids, func(uid types.UID) bool { return l.locked[uid] }) {
		return nil, false
	}
	for _, uid := range uids {
		l.locked[uid] = true
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, uid := range uids {
			delete(l.locked, uid)
		}
	}, true
}

// tryAcquireDrivers acquires capacity of every driver, where all have it now.
func (l *limiter) tryAcquireDrivers(volumes []v1alpha1.VolumeStatus) (release func(), ok bool) {
	release, err := l.take(volumes, func(driver *semaphore.Weighted, n int64) error {
		if driver.TryAcquire(n) {
			return nil
		}
		return errDriverBusy
	})
	return release, err == nil
}

var errDriverBusy = errors.New("the driver is busy")

// acquireDrivers waits, first come first served, until every driver has capacity
// for the snapshots.
func (l *limiter) acquireDrivers(ctx context.Context, volumes []v1alpha1.VolumeStatus) (release func(), err error) {
	return l.take(volumes, func(driver *semaphore.Weighted, n int64) error { return driver.Acquire(ctx, n) })
}

// take acquires from each driver as much as the volumes need, or nothing. An
// application with more volumes than a driver takes at once takes all of the
// driver.
func (l *limiter) take(volumes []v1alpha1.VolumeStatus, acquire func(*semaphore.Weighted, int64) error) (release func(), err error) {
	need := map[string]int64{}
	for _, v := range volumes {
		need[v.Driver]++
	}
	var held []func()
	release = func() {
		for _, giveBack := range held {
			giveBack()
		}
	}
	// One order for all, so that two never wait for each other.
	for _, name := range slices.Sorted(maps.Keys(need)) {
		driver, n := l.driver(name), min(need[name], l.perDriver)
		if err := acquire(driver, n); err != nil {
			release()
			return nil, err
		}
		inFlight := snapshotsInFlight.WithLabelValues(name)
		inFlight.Add(float64(need[name]))
		held = append(held, func() {
			inFlight.Sub(float64(need[name]))
			driver.Release(n)
		})
	}
	return release, nil
}

func (l *limiter) driver(name string) *semaphore.Weighted {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drivers[name] == nil {
		l.drivers[name] = semaphore.NewWeighted(l.perDriver)
	}
	return l.drivers[name]
}

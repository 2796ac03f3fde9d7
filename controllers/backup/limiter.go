package backup

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// limiter bounds what is under way at once. An attempt acquires all that it
// needs before it freezes anything: a freeze that queues for its driver
// afterwards is a long freeze. It is memory only: what it guards, an attempt
// under way, ends with this process too.
type limiter struct {
	perDriver int

	mu      sync.Mutex
	drivers map[string]*driver
	locked  map[types.UID]bool
	freezes freezes
}

// newLimiter bounds what drivers do at once, and how soon a pod is frozen again.
func newLimiter(perDriver int, interval time.Duration) *limiter {
	return &limiter{
		perDriver: max(1, perDriver),
		drivers:   map[string]*driver{},
		locked:    map[types.UID]bool{},
		freezes:   freezes{interval: interval, ended: map[types.UID]time.Time{}},
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
func (l *limiter) tryAcquireDrivers(namespace string, volumes []v1alpha1.VolumeStatus) (release func(), ok bool) {
	release, err := l.take(namespace, volumes, func(d *driver, n int) error {
		if d.tryAcquire(namespace, n) {
			return nil
		}
		return errDriverBusy
	})
	return release, err == nil
}

var errDriverBusy = errors.New("the driver is busy")

// acquireDrivers waits until every driver has capacity for the snapshots.
func (l *limiter) acquireDrivers(ctx context.Context, namespace string, volumes []v1alpha1.VolumeStatus) (release func(), err error) {
	return l.take(namespace, volumes, func(d *driver, n int) error { return d.acquire(ctx, namespace, n) })
}

// take acquires from each driver as much as the volumes need, or nothing. An
// application with more volumes than a driver takes at once takes all of the
// driver.
func (l *limiter) take(namespace string, volumes []v1alpha1.VolumeStatus, acquire func(*driver, int) error) (release func(), err error) {
	need := countByDriver(volumes)
	var held []func()
	release = func() {
		for _, giveBack := range held {
			giveBack()
		}
	}
	// One order for all, so that two never wait for each other.
	for _, name := range slices.Sorted(maps.Keys(need)) {
		from, n := l.driver(name), min(need[name], l.perDriver)
		if err := acquire(from, n); err != nil {
			release()
			return nil, err
		}
		inFlight := snapshotsInFlight.WithLabelValues(name)
		inFlight.Add(float64(need[name]))
		held = append(held, func() {
			inFlight.Sub(float64(need[name]))
			from.release(namespace, n)
		})
	}
	return release, nil
}

// countByDriver is how many snapshots each driver is asked for.
func countByDriver(volumes []v1alpha1.VolumeStatus) map[string]int {
	count := map[string]int{}
	for _, v := range volumes {
		count[v.Driver]++
	}
	return count
}

// waiting is how many attempts wait for one of the drivers, where that is most: of
// the namespace, and of others.
func (l *limiter) waiting(namespace string, volumes []v1alpha1.VolumeStatus) (inNamespace, inOthers int) {
	for name := range countByDriver(volumes) {
		if own, others := l.driver(name).waiting(namespace); own+others >= inNamespace+inOthers {
			inNamespace, inOthers = own, others
		}
	}
	return inNamespace, inOthers
}

func (l *limiter) driver(name string) *driver {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drivers[name] == nil {
		l.drivers[name] = newDriver(l.perDriver)
	}
	return l.drivers[name]
}

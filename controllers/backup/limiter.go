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
	perSecond float64
	arrivals  arrivals

	mu      sync.Mutex
	drivers map[string]*driver
	locked  map[types.UID]bool
	freezes freezes
}

// newLimiter bounds what drivers do at once and how fast it is begun, and how soon a
// pod is frozen again.
func newLimiter(o Options, now func() time.Time) *limiter {
	l := &limiter{
		perDriver: o.MaxSnapshotsInFlight,
		perSecond: o.SnapshotsPerSecond,
		arrivals:  arrivals{now: now},
		drivers:   map[string]*driver{},
		locked:    map[types.UID]bool{},
		freezes:   freezes{interval: o.MinFreezeInterval, ended: map[types.UID]time.Time{}},
	}
	l.arrivals.arrived = l.lookAgain
	return l
}

// lookAgain has each driver look who may begin.
func (l *limiter) lookAgain() {
	l.mu.Lock()
	all := slices.Collect(maps.Values(l.drivers))
	l.mu.Unlock()
	for _, d := range all {
		d.lookAgain()
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

// tryAcquireDrivers acquires capacity of every driver, for one that arrives, where all
// have it now.
func (l *limiter) tryAcquireDrivers(w turn, volumes []v1alpha1.VolumeStatus) (_ capacity, ok bool) {
	c, err := l.take(w, volumes, func(d *driver, n int) error {
		if d.tryAcquire(w, n) {
			return nil
		}
		return errDriverBusy
	})
	return c, err == nil
}

var errDriverBusy = errors.New("the driver is busy")

// acquireDrivers waits until every driver has capacity for the snapshots. It calls
// arrived once it waits.
func (l *limiter) acquireDrivers(ctx context.Context, w turn, volumes []v1alpha1.VolumeStatus, arrived func()) (capacity, error) {
	return l.take(w, volumes, func(d *driver, n int) error { return d.acquire(ctx, w, n, arrived) })
}

// take acquires from each driver as much as the volumes need, or nothing.
func (l *limiter) take(w turn, volumes []v1alpha1.VolumeStatus, acquire func(*driver, int) error) (c capacity, err error) {
	need := countByDriver(volumes)
	// One order for all, so that two never wait for each other.
	for _, name := range slices.Sorted(maps.Keys(need)) {
		s := share{of: l.driver(name), name: name, namespace: w.Namespace, n: need[name]}
		if err := acquire(s.of, s.n); err != nil {
			c.unmade()
			c.release()
			return nil, err
		}
		snapshotsInFlight.WithLabelValues(name).Add(float64(s.n))
		c = append(c, s)
	}
	return c, nil
}

// capacity is what an attempt has of each driver that it needs.
type capacity []share

type share struct {
	of              *driver
	name, namespace string
	n               int
}

func (c capacity) release() {
	for _, s := range c {
		snapshotsInFlight.WithLabelValues(s.name).Sub(float64(s.n))
		s.of.release(s.namespace, s.n)
	}
}

// unmade is said where no snapshot comes of it.
func (c capacity) unmade() {
	for _, s := range c {
		s.of.unmade(s.n)
	}
}

// countByDriver is how many snapshots each driver is asked for.
func countByDriver(volumes []v1alpha1.VolumeStatus) map[string]int {
	count := map[string]int{}
	for _, v := range volumes {
		count[v.Driver]++
	}
	return count
}

// before is how many attempts wait for one of the drivers before a turn, where that is
// most: in its namespace, and in others.
func (l *limiter) before(w turn, volumes []v1alpha1.VolumeStatus) (inNamespace, inOthers int) {
	for name := range countByDriver(volumes) {
		if own, others := l.driver(name).before(w); own+others >= inNamespace+inOthers {
			inNamespace, inOthers = own, others
		}
	}
	return inNamespace, inOthers
}

func (l *limiter) driver(name string) *driver {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drivers[name] == nil {
		l.drivers[name] = newDriver(l.perDriver, newPace(l.perSecond), &l.arrivals)
	}
	return l.drivers[name]
}

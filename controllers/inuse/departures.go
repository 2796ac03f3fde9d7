package inuse

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/workload"
)

// maxDepartures bounds what is remembered: of more, the oldest are forgotten.
const maxDepartures = 10000

// wordLag is how far back a node's word may lie: what left later than that may
// be missing in it although it runs. The kubelet asks its container runtime
// every three seconds (k8s.io/kubernetes, pkg/kubelet, runtimeCacheRefreshPeriod).
const wordLag = 5 * time.Second

// departures remembers the pods that left the API, for as long as they may
// matter: those with claims whose nodes haven't said that they ended, and for a
// moment the others. It is memory only. A manager that was just started knows of nothing
// that left before, and says so by since. It may be used by many at once.
type departures struct {
	since time.Time

	mu  sync.Mutex
	all []workload.Departure // the oldest first
	// seen is when a forgotten pod of which nothing else is known was last seen
	// to run, by namespaces.
	seen map[string]time.Time
}

// note remembers a pod that has left.
func (d *departures) note(left workload.Departure) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = slices.DeleteFunc(d.all, func(other workload.Departure) bool {
		return (other.HasEnded || len(other.Claims) == 0) && left.At.Sub(other.At) > cut.UnmountGrace
	})
	d.all = append(d.all, left)
	if over := len(d.all) - maxDepartures; over > 0 {
		d.all = slices.Delete(d.all, 0, over)
	}
}

// hear takes the nodes' word on a namespace: what none of them runs has ended.
func (d *departures) hear(namespace string, forgotten []workload.Departure, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range forgotten {
		if !has(d.all, f.UID) {
			d.seen[namespace] = now
		}
	}
	for i := range d.all {
		left := &d.all[i]
		isOld := now.Sub(left.At) > wordLag
		if left.Namespace == namespace && !left.HasEnded && isOld && !has(forgotten, left.UID) {
			left.HasEnded, left.At = true, now
		}
	}
}

func has(those []workload.Departure, uid types.UID) bool {
	return slices.ContainsFunc(those, func(f workload.Departure) bool { return f.UID == uid })
}

// mayRun are the pods that mounted one of the claims and may run still.
func (d *departures) mayRun(namespace string, claims []string) []workload.Departure {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []workload.Departure
	for _, left := range d.all {
		if !left.HasEnded && left.Namespace == namespace && mountedAny(left, claims) {
			found = append(found, left)
		}
	}
	return found
}

// concerns is false for a pod that is known to have mounted none of the claims,
// or to have ended: a node's word is a moment old.
func (d *departures) concerns(uid types.UID, claims []string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.all, func(left workload.Departure) bool { return left.UID == uid })
	return i < 0 || !d.all[i].HasEnded && mountedAny(d.all[i], claims)
}

// last is when the claims were last known to be in use by a pod that has left,
// or may have been.
func (d *departures) last(namespace string, claims []string) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	last := d.since
	for _, left := range d.all {
		if left.Namespace == namespace && mountedAny(left, claims) && left.At.After(last) {
			last = left.At
		}
	}
	if seen := d.seen[namespace]; seen.After(last) {
		last = seen
	}
	return last
}

func mountedAny(left workload.Departure, claims []string) bool {
	return slices.ContainsFunc(left.Claims, func(c string) bool { return slices.Contains(claims, c) })
}

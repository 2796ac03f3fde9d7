package backup

import (
	"context"
	"slices"
	"sync"
	"time"
)

// driver is the capacity of a CSI driver, and the attempts that wait for it. Of one
// namespace they come in the order of turns, people's before policies'. A namespace
// has at most half while others wait, but for an attempt that needs more and is its
// only one: of those each namespace has one in its turn.
type driver struct {
	now      func() time.Time
	arrivals *arrivals

	mu sync.Mutex
	slots
	pace pace
	line line[*asking]
	// alarm grants to who waits for a time alone.
	alarm *time.Timer
}

// asking is an attempt that waits for n snapshots at once.
type asking struct {
	turn
	n       int
	granted chan struct{}
}

func newDriver(size int, pace pace, arrivals *arrivals) *driver {
	return &driver{now: arrivals.now, arrivals: arrivals, slots: newSlots(size), pace: pace, line: newLine[*asking]()}
}

// room is how much of the driver n snapshots take: one that makes more than the
// driver cuts at once takes all of it.
func (d *driver) room(n int) int { return min(n, d.size) }

// tryAcquire acquires n, for one that arrives, where they are free and nobody waits.
func (d *driver) tryAcquire(w turn, n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.line.namespaces) > 0 || d.room(n) > d.free() || d.left(1) > 0 {
		return false
	}
	d.begin(w, n)
	return true
}

// left is how long it is before the next may begin, whose turn it is. So many that
// arrive aren't waited for.
func (d *driver) left(but int) time.Duration { return max(d.pace.left(d.now()), d.arrivals.left(but)) }

func (d *driver) begin(w turn, n int) {
	d.take(w.Namespace, d.room(n))
	d.pace.begin(n, d.now())
}

// acquire waits until n are free, and it is the attempt's turn. It calls arrived once
// it waits.
func (d *driver) acquire(ctx context.Context, w turn, n int, arrived func()) error {
	a := d.ask(w, n)
	arrived()
	select {
	case <-a.granted:
		return nil
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(d.line.waiting[w.Namespace], a) {
		d.line.drop(w.Namespace, func(other *asking) bool { return other == a })
	} else { // it was granted in the same moment
		d.giveBack(w.Namespace, d.room(n))
		d.pace.giveBack(n)
	}
	d.grant()
	return ctx.Err()
}

// ask has an attempt wait for n.
func (d *driver) ask(w turn, n int) *asking {
	a := &asking{turn: w, n: n, granted: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line.put(w.Namespace, d.placeOf(w), a)
	d.grant()
	return a
}

// placeOf is that of a turn in its namespace, behind those that are its equal.
func (d *driver) placeOf(w turn) int {
	at, _ := slices.BinarySearchFunc(d.line.waiting[w.Namespace], w, func(a *asking, w turn) int {
		if a.compare(w) <= 0 {
			return -1
		}
		return 1
	})
	return at
}

func (d *driver) release(namespace string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.giveBack(namespace, d.room(n))
	d.grant()
}

// unmade is for n that were granted and never made: the next may begin in their place.
func (d *driver) unmade(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pace.giveBack(n)
	d.grant()
}

// grant gives what is free to those whose turn it is. An attempt that needs more
// than is free is overtaken by nobody: many small ones would keep it out for ever.
func (d *driver) grant() {
	for {
		now := d.now()
		namespace, found := d.line.next(func(_ string, first *asking) int { return first.rank(&d.slots, d.room(first.n), now) })
		if !found || d.room(d.line.waiting[namespace][0].n) > d.free() {
			return
		}
		if left := d.left(0); left > 0 {
			d.grantIn(left)
			return
		}
		a := d.line.serve(namespace)
		d.begin(a.turn, a.n)
		close(a.granted)
	}
}

// grantIn grants again after a while. Who is first then may have come meanwhile.
func (d *driver) grantIn(left time.Duration) {
	if d.alarm != nil {
		d.alarm.Reset(left)
		return
	}
	d.alarm = time.AfterFunc(left, d.lookAgain)
}

func (d *driver) lookAgain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.grant()
}

// before is how many attempts wait in a turn's namespace before it, and how many in
// others.
func (d *driver) before(w turn) (inNamespace, inOthers int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.placeOf(w), d.line.inOthers(w.Namespace)
}

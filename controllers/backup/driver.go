package backup

import (
	"context"
	"slices"
	"sync"
)

// driver is the capacity of a CSI driver, and the attempts that wait for it. Of one
// namespace they come in the order in which they asked. A namespace has at most half
// while others wait, but for an attempt that needs more and is its only one: of
// those each namespace has one in its turn.
type driver struct {
	mu sync.Mutex
	slots
	line line[*asking]
}

// asking is an attempt that waits for n at once.
type asking struct {
	n       int
	granted chan struct{}
}

func newDriver(size int) *driver { return &driver{slots: newSlots(size), line: newLine[*asking]()} }

// tryAcquire acquires n where they are free and nobody waits.
func (d *driver) tryAcquire(namespace string, n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.line.namespaces) > 0 || n > d.free() {
		return false
	}
	d.take(namespace, n)
	return true
}

// acquire waits until n are free, and it is the namespace's turn.
func (d *driver) acquire(ctx context.Context, namespace string, n int) error {
	a := d.ask(namespace, n)
	select {
	case <-a.granted:
		return nil
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(d.line.waiting[namespace], a) {
		d.line.drop(namespace, func(other *asking) bool { return other == a })
	} else { // it was granted in the same moment
		d.giveBack(namespace, n)
	}
	d.grant()
	return ctx.Err()
}

// ask has an attempt wait for n.
func (d *driver) ask(namespace string, n int) *asking {
	a := &asking{n: n, granted: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.line.put(namespace, len(d.line.waiting[namespace]), a)
	d.grant()
	return a
}

func (d *driver) release(namespace string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.giveBack(namespace, n)
	d.grant()
}

// grant gives what is free to those whose turn it is. An attempt that needs more
// than is free is overtaken by nobody: many small ones would keep it out for ever.
func (d *driver) grant() {
	for {
		namespace, found := d.line.next(func(namespace string, first *asking) int {
			if d.isWithinHalf(namespace, first.n) {
				return 0
			}
			return 1
		})
		if !found || d.line.waiting[namespace][0].n > d.free() {
			return
		}
		a := d.line.serve(namespace)
		d.take(namespace, a.n)
		close(a.granted)
	}
}

// waiting is how many attempts wait, of the namespace and of others.
func (d *driver) waiting(namespace string) (inNamespace, inOthers int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.line.waiting[namespace]), d.line.inOthers(namespace)
}

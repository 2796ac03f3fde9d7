package backup

import (
	"sync"
	"time"
)

// arrivals are attempts that have their turn and neither wait for their drivers nor
// have them. Each reads and writes so much that where many come at once, a freeze in
// their midst would be a long one. So none begins until all have arrived, or for
// longestArrival: they may never end. One that comes alone waits for nobody.
type arrivals struct {
	now func() time.Time
	// arrived is called when all have.
	arrived func()

	mu    sync.Mutex
	n     int
	since time.Time
}

// longestArrival is how long others are waited for.
const longestArrival = 3 * time.Second

// begin counts one more, until arrived is called for the first time.
func (a *arrivals) begin() (arrived func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n == 0 {
		a.since = a.now()
	}
	a.n++
	return sync.OnceFunc(a.end)
}

func (a *arrivals) end() {
	a.mu.Lock()
	a.n--
	all := a.n == 0
	a.mu.Unlock()
	if all {
		a.arrived()
	}
}

// left is how long it is before a freeze may begin, not positive where it may now. Of
// those that arrive so many aren't waited for.
func (a *arrivals) left(but int) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.n <= but {
		return 0
	}
	return a.since.Add(longestArrival).Sub(a.now())
}

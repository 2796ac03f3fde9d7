package policy

import (
	"sync/atomic"
	"time"
)

// rush is what policies make at this moment of what is due, and whether they are
// behind with it.
type rush struct {
	making atomic.Int64
	// began is when the newest of them began, and behind when something was last
	// made late, in nanoseconds since 1970.
	began, behind atomic.Int64
}

const (
	// longestRush is how long one policy can have others wait: its backup may hang
	// in the API server's admission.
	longestRush = 2 * time.Second
	// lateness is of how much a run may be late by itself: a timer and a queue take
	// as long.
	lateness = 250 * time.Millisecond
	// catchingUp is how long after a late run others are taken to be late, too.
	catchingUp = time.Second
)

// begin notes that a policy makes its runs.
func (r *rush) begin(now time.Time) (end func()) {
	r.began.Store(now.UnixNano())
	r.making.Add(1)
	return func() { r.making.Add(-1) }
}

// made notes how late a run was that was made.
func (r *rush) made(now time.Time, lateBy time.Duration) {
	if lateBy > lateness {
		r.behind.Store(now.UnixNano())
	}
}

// goesOn is true while runs are made, or are late.
func (r *rush) goesOn(now time.Time) bool {
	return r.making.Load() > 0 && now.Sub(time.Unix(0, r.began.Load())) < longestRush ||
		now.Sub(time.Unix(0, r.behind.Load())) < catchingUp
}

// IsRush is true while policies make what is due, or are behind with it, as where
// a jitter spreads more runs than the API server takes beside their backups.
func (r *Reconciler) IsRush() bool { return r.rush.goesOn(r.Clock.Now()) }

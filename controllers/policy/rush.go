package policy

import (
	"sync/atomic"
	"time"
)

// rush is what policies make at this moment of what is due.
type rush struct {
	making atomic.Int64
	// began is when the newest of them began, in nanoseconds since 1970.
	began atomic.Int64
}

// longestRush is how long one policy can have others wait: its backup may hang in
// the API server's admission.
const longestRush = 2 * time.Second

func (r *rush) begin(now time.Time) (end func()) {
	r.began.Store(now.UnixNano())
	r.making.Add(1)
	return func() { r.making.Add(-1) }
}

// IsMaking is true while policies make what is due.
func (r *Reconciler) IsMaking() bool {
	return r.rush.making.Load() > 0 && r.Clock.Now().Sub(time.Unix(0, r.rush.began.Load())) < longestRush
}

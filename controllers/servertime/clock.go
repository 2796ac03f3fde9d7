package servertime

import (
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
)

const (
	// tolerance is by how much this machine's clock may differ from the server's.
	// What differs less is left as it is: an answer says the time in whole seconds.
	tolerance = 2 * time.Second
	// slow is an answer that says too little of the moment at which it was given.
	slow = 2 * time.Second
)

// Clock tells the time of the API server. It begins with that of this machine's clock,
// which counts for as long as no answer speaks against it, and runs by the monotonic
// clock: whoever sets this machine's clock doesn't set this one. It may be used by many
// at once.
type Clock struct {
	began time.Time
	// ran is how long ago that was, by the monotonic clock.
	ran func() time.Duration

	mu sync.RWMutex
	// ahead is what the server's clock is ahead of the machine's as it began.
	ahead time.Duration
}

var _ clock.PassiveClock = &Clock{}

// New begins a clock by that of this machine, whose times have a reading of the
// monotonic clock.
func New(machine clock.PassiveClock) *Clock {
	began := machine.Now()
	return &Clock{began: began, ran: func() time.Duration { return machine.Since(began) }}
}

// Now is the time by the API server's clock, to about two seconds.
func (c *Clock) Now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.at(c.ran())
}

// Since is how long ago a time of this clock is.
func (c *Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *Clock) at(ran time.Duration) time.Time { return c.began.Add(ran + c.ahead) }

// Follow has the clock follow the API server's, by each answer that comes through the
// transport that it returns. It is for Wrap of a rest.Config.
func (c *Clock) Follow(next http.RoundTripper) http.RoundTripper { return &follower{next, c} }

type follower struct {
	http.RoundTripper
	clock *Clock
}

// RoundTrip reads the clock before and after a request: the server's answer was given
// in between.
func (f *follower) RoundTrip(request *http.Request) (*http.Response, error) {
	asked := f.clock.ran()
	answer, err := f.RoundTripper.RoundTrip(request)
	if err != nil {
		return answer, err
	}
	if told, unreadable := http.ParseTime(answer.Header.Get("Date")); unreadable == nil {
		f.clock.hear(told, asked, f.clock.ran())
	}
	return answer, nil
}

// WrappedRoundTripper is the transport below, for those who look for it.
func (f *follower) WrappedRoundTripper() http.RoundTripper { return f.RoundTripper }

// hear takes the server's word for the time at a moment between two.
func (c *Clock) hear(told time.Time, asked, answered time.Duration) {
	if answered-asked > slow {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	isBehind := told.After(c.at(answered).Add(tolerance))
	isAhead := told.Add(time.Second).Before(c.at(asked).Add(-tolerance))
	if !isBehind && !isAhead {
		return
	}
	c.ahead += told.Add(time.Second / 2).Sub(c.at((asked + answered) / 2))
	ctrl.Log.WithName("clock").Info("goes by the API server's clock: this machine's differs", "serverIsAheadBy", c.ahead.Round(time.Second).String())
}

package cut

import "time"

// Left is how much is left of a wait that began at since, by whichever clock. A time
// that is yet to come is of another clock, or of this one before it was set: nobody
// can tell how long ago that was, and nothing is left.
func Left(since time.Time, wait time.Duration, now time.Time) time.Duration {
	if passed := now.Sub(since); passed >= 0 && passed < wait {
		return wait - passed
	}
	return 0
}

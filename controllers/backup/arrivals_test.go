package backup

import (
	"testing"
	"testing/synctest"
	"time"
)

// crowd are attempts that look at their applications for a while each, from the same
// moment on, and then want their driver. It has when each began.
func crowd(t *testing.T, looking ...time.Duration) []time.Duration {
	l := newLimiter(Options{MaxSnapshotsInFlight: 10}, time.Now)
	start, began := time.Now(), make([]time.Duration, len(looking))
	done := make(chan bool)
	for i, d := range looking {
		arrived := l.arrivals.begin()
		go func() {
			defer func() { done <- true }()
			defer arrived()
			time.Sleep(d)
			if _, ok := l.tryAcquireDrivers(personsTurn("n"), volumesOf(1)); !ok {
				if _, err := l.acquireDrivers(t.Context(), personsTurn("n"), volumesOf(1), arrived); err != nil {
					t.Error(err)
				}
			}
			began[i] = time.Since(start)
		}()
	}
	for range looking {
		<-done
	}
	return began
}

func TestNoFreezeBeginsAmongThoseThatArrive(t *testing.T) {
	const second = time.Second
	for name, c := range map[string]struct{ looking, want []time.Duration }{
		"one alone":           {[]time.Duration{second}, []time.Duration{second}},
		"the last of all":     {[]time.Duration{second, 2 * second, second / 2}, []time.Duration{2 * second, 2 * second, 2 * second}},
		"one that never ends": {[]time.Duration{second, time.Hour}, []time.Duration{longestArrival, time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for i, got := range crowd(t, c.looking...) {
					if got != c.want[i] {
						t.Errorf("number %d began after %s, want %s", i, got, c.want[i])
					}
				}
			})
		})
	}
}

// It has nothing to write about what it waits for.
func TestOneThatComesAloneHasItsDriverAtOnce(t *testing.T) {
	l := newLimiter(Options{MaxSnapshotsInFlight: 10}, noNow)
	defer l.arrivals.begin()()
	if _, ok := l.tryAcquireDrivers(personsTurn("n"), volumesOf(1)); !ok {
		t.Error("it waits for itself")
	}
}

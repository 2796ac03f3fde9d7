package policy

import (
	"context"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// clockPair is a wall clock and a monotonic one that a test moves.
type clockPair struct {
	wall      time.Time
	monotonic time.Duration
}

func TestPoliciesWakeWhenTheClockWasPut(t *testing.T) {
	c := aCluster(t, aPolicy(nil)...)
	r, queue := &Reconciler{Client: c}, aQueue(t)
	ctx, stop := context.WithCancel(context.Background())
	ticks, reads, ended := make(chan time.Time), make(chan clockPair), make(chan struct{})
	go func() {
		defer close(ended)
		watchClocks(ctx, ticks, func() (time.Time, time.Duration) {
			now := <-reads
			return now.wall, now.monotonic
		}, func(time.Duration) { wakeAll[*v1alpha1.SnapshotPolicy](ctx, r, queue) })
	}()
	now := clockPair{wall: two}
	reads <- now
	for _, step := range []struct {
		what            string
		wall, monotonic time.Duration
		wakes           int
	}{
		{"ten seconds", 10 * time.Second, 10 * time.Second, 0},
		{"the clock is put forward", time.Hour, 10 * time.Second, 1},
		{"ten seconds after that", 10 * time.Second, 10 * time.Second, 0},
		{"the clock is put back", -time.Hour, 10 * time.Second, 1},
		{"the machine sleeps", 8 * time.Hour, 4 * time.Second, 1},
		{"the clock is put by little", 10*time.Second + 600*time.Millisecond, 10 * time.Second, 0},
		{"and by little more", 10*time.Second + 600*time.Millisecond, 10 * time.Second, 1},
	} {
		now.wall, now.monotonic = now.wall.Add(step.wall), now.monotonic+step.monotonic
		ticks <- now.wall
		reads <- now
		ticks <- now.wall // what the tick before has led to is done
		reads <- now
		if n := queue.Len(); n != step.wakes {
			t.Errorf("%s: %d policies wake, want %d", step.what, n, step.wakes)
		}
		for queue.Len() > 0 {
			req, _ := queue.Get()
			queue.Done(req)
			if req.Name != "nightly" || req.Namespace != "shop" {
				t.Errorf("%s: %s wakes", step.what, req)
			}
		}
	}
	stop()
	<-ended
}

// A timer runs by the machine's clock, and what it waits for comes by the other.
func TestBothClocksAreRead(t *testing.T) {
	now, machine := clocktesting.NewFakeClock(two), clocktesting.NewFakeClock(two.AddDate(0, 1, 0))
	read := clocksOf(now, machine)
	now.Step(time.Hour)
	machine.Step(time.Minute)
	if wall, monotonic := read(); !wall.Equal(two.Add(time.Hour)) || monotonic != time.Minute {
		t.Errorf("the clocks read %s and %s", wall, monotonic)
	}
}

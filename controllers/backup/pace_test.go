package backup

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// begun are attempts on one driver, in the order in which they began, with when that
// was since the start.
type begun struct {
	*limiter
	start time.Time
	order []string
	at    map[string]time.Duration
}

// beginAll has attempts ask at once, each of n snapshots that are cut in no time.
// It is for a bubble of synctest, whose clock jumps to when something happens.
func beginAll(t *testing.T, perSecond float64, n int, turns ...turn) *begun {
	b := &begun{limiter: newLimiter(Options{MaxSnapshotsInFlight: 10, SnapshotsPerSecond: perSecond}, time.Now), start: time.Now(), at: map[string]time.Duration{}}
	began := make(chan string)
	for _, w := range turns {
		go func() {
			room, err := b.acquireDrivers(t.Context(), w, volumesOf(n), func() {})
			if err != nil {
				t.Error(err)
			}
			began <- w.String()
			room.release()
		}()
		synctest.Wait() // they came in this order
	}
	for range turns {
		name := <-began
		b.order = append(b.order, name)
		b.at[name] = time.Since(b.start)
	}
	return b
}

func volumesOf(n int) []v1alpha1.VolumeStatus {
	return slices.Repeat([]v1alpha1.VolumeStatus{{Driver: "a"}}, n)
}

func aTurnOf(namespace, name string, isPolicy bool) turn {
	return turn{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}, isPolicy: isPolicy, since: time.Now()}
}

func TestFreezesBeginAtThePace(t *testing.T) {
	for _, c := range []struct {
		perSecond float64
		volumes   int
		want      []time.Duration
	}{
		{0.5, 1, []time.Duration{0, 2 * time.Second, 4 * time.Second}},
		{0.5, 3, []time.Duration{0, 6 * time.Second, 12 * time.Second}},
		{4, 12, []time.Duration{0, 3 * time.Second, 6 * time.Second}}, // more than are cut at once
		{0, 5, []time.Duration{0, 0, 0}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := beginAll(t, c.perSecond, c.volumes, aTurnOf("n", "0", false), aTurnOf("n", "1", false), aTurnOf("n", "2", false))
			for i, want := range c.want {
				if got := b.at[fmt.Sprint("n/", i)]; got != want {
					t.Errorf("%g a second, %d each: number %d began after %s, want %s", c.perSecond, c.volumes, i, got, want)
				}
			}
		})
	}
}

// Whoever comes after a pause doesn't wait, however many it makes, and however long
// the pause was no more begin at once after it.
func TestWhoComesAfterAPauseNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := beginAll(t, 0.5, 8, aTurnOf("n", "0", false))
		time.Sleep(16*time.Second - 1)
		if _, ok := b.tryAcquireDrivers(personsTurn("n"), volumesOf(1)); ok {
			t.Error("one more begins before those of the first are dealt with")
		}
		for range 2 {
			time.Sleep(time.Hour)
			room, ok := b.tryAcquireDrivers(personsTurn("n"), volumesOf(8))
			if !ok {
				t.Fatal("it waits after an hour's pause")
			}
			room.release()
			if _, ok := b.tryAcquireDrivers(personsTurn("n"), volumesOf(1)); ok {
				t.Error("a pause saves nothing up")
			}
		}
	})
}

// What an attempt didn't make in the end, as its application isn't free, holds nobody
// up, and who waits is told at once.
func TestWhatIsNotMadeCostsNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(Options{MaxSnapshotsInFlight: 10, SnapshotsPerSecond: 0.5}, time.Now)
		room, ok := l.tryAcquireDrivers(personsTurn("n"), volumesOf(5))
		if !ok {
			t.Fatal("nobody was before it")
		}
		ended := make(chan error)
		start := time.Now()
		go func() {
			_, err := l.acquireDrivers(t.Context(), personsTurn("other"), volumesOf(1), func() {})
			ended <- err
		}()
		time.Sleep(time.Second)
		room.unmade()
		room.release()
		if err := <-ended; err != nil || time.Since(start) != time.Second {
			t.Errorf("the next began after %s: %v", time.Since(start), err)
		}
	})
}

// One that gives up while it waits for the pace takes nothing of it along.
func TestThePaceIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := beginAll(t, 0.5, 1, aTurnOf("n", "0", false))
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.acquireDrivers(soon, personsTurn("n"), volumesOf(8), func() {}); err == nil {
			t.Error("it began before its time")
		}
		if _, err := b.acquireDrivers(t.Context(), personsTurn("n"), volumesOf(1), func() {}); err != nil || time.Since(b.start) != 2*time.Second {
			t.Errorf("the next began after %s: %v", time.Since(b.start), err)
		}
	})
}

// While all wait for the pace, people's backups come first, and namespaces take turns.
func TestWhoWaitsForThePaceIsServedFairly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := []turn{aTurnOf("flood", "0", true), aTurnOf("flood", "1", true), aTurnOf("flood", "2", true), aTurnOf("flood", "3", true), aTurnOf("other", "0", true), aTurnOf("flood", "person's", false)}
		b := beginAll(t, 1, 1, turns...)
		want := []string{"flood/0", "flood/person's", "other/0", "flood/1", "flood/2", "flood/3"}
		if !slices.Equal(b.order, want) {
			t.Errorf("served in the order %q, want %q", b.order, want)
		}
	})
}

package backup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// cutting are attempts that have capacity of a driver, or wait for it.
type cutting struct {
	namespace string
	*asking
}

func (c cutting) isGranted() bool {
	select {
	case <-c.granted:
		return true
	default:
		return false
	}
}

func ask(d *driver, namespace string, n int) cutting {
	return cutting{namespace, d.ask(personsTurn(namespace), n)}
}

func personsTurn(namespace string) turn {
	return turn{NamespacedName: types.NamespacedName{Namespace: namespace}}
}

func noNow() time.Time { return noon }

func (c cutting) ends(d *driver) { d.release(c.namespace, c.n) }

// Before another namespace comes what it has found under way, and at most one more of
// each that waited already, also where one needs all of a driver, again and again.
func TestAnApplicationThatTakesAllOfADriverIsServedInTurns(t *testing.T) {
	d := newDriver(10, pace{}, &arrivals{now: noNow})
	var greedy []cutting
	for range 10 {
		greedy = append(greedy, ask(d, "greedy", 10))
	}
	other := ask(d, "other", 1)
	if !greedy[0].isGranted() || greedy[1].isGranted() || other.isGranted() {
		t.Fatal("the first has all")
	}
	if greedy[0].ends(d); !greedy[1].isGranted() || other.isGranted() {
		t.Fatal("then comes the one that waited before the other")
	}
	if greedy[1].ends(d); !other.isGranted() || greedy[2].isGranted() {
		t.Fatal("then comes the other")
	}
	later := ask(d, "later", 1)
	if later.isGranted() {
		t.Error("what needs all is overtaken once more")
	}
	if other.ends(d); !greedy[2].isGranted() {
		t.Error("what needs all has its turn")
	}
	if greedy[2].ends(d); !later.isGranted() || greedy[3].isGranted() {
		t.Error("then comes the next namespace")
	}
}

func TestANamespaceHasHalfOfADriverWhileOthersWait(t *testing.T) {
	d := newDriver(10, pace{}, &arrivals{now: noNow})
	var flood, others []cutting
	for range 50 {
		flood = append(flood, ask(d, "flood", 1))
	}
	if !flood[9].isGranted() || flood[10].isGranted() {
		t.Fatal("it has all while nobody else wants any")
	}
	for range 8 {
		others = append(others, ask(d, "other", 1))
	}
	for i := range 5 {
		if flood[i].ends(d); !others[i].isGranted() || flood[10].isGranted() {
			t.Fatalf("after %d the other has not as many", i+1)
		}
	}
	if flood[5].ends(d); others[5].isGranted() || !flood[10].isGranted() {
		t.Error("each has half")
	}
}

// Whatever comes and goes: never more than there is, nothing idle where each needs
// one alone, and everybody is served.
func TestADriverIsSharedFairly(t *testing.T) {
	draws(t, func(t *testing.T, r *rand.Rand) {
		size := 1 + r.IntN(10)
		most := 1 + r.IntN(2)*(size-1)
		d := newDriver(size, pace{}, &arrivals{now: noNow})
		var waiting, running []cutting
		settle := func() {
			waiting = slices.DeleteFunc(waiting, func(c cutting) bool {
				if c.isGranted() {
					running = append(running, c)
				}
				return c.isGranted()
			})
			taken := 0
			for _, c := range running {
				taken += c.n
			}
			if taken > size || taken != d.taken {
				t.Fatalf("%d of %d are taken, by its own word %d", taken, size, d.taken)
			}
			if idle := size - taken; len(waiting) > 0 && idle >= most {
				t.Fatalf("%d wait, and of %d are idle %d", len(waiting), size, idle)
			}
		}
		end := func() {
			i := r.IntN(len(running))
			running[i].ends(d)
			running = slices.Delete(running, i, i+1)
			settle()
		}
		for range 400 {
			if r.IntN(2) == 0 || len(running) == 0 {
				waiting = append(waiting, ask(d, fmt.Sprint("n", r.IntN(4)), 1+r.IntN(most)))
				settle()
			} else {
				end()
			}
		}
		for len(running) > 0 {
			end()
		}
		if len(waiting) > 0 {
			t.Errorf("%d were never served", len(waiting))
		}
	})
}

// Who gives up while it waits keeps nothing, and holds nobody up.
func TestADriverIsGivenUp(t *testing.T) {
	l := newLimiter(Options{MaxSnapshotsInFlight: 2}, noNow)
	two := []v1alpha1.VolumeStatus{{Driver: "a"}, {Driver: "a"}}
	room, ok := l.tryAcquireDrivers(personsTurn("one"), two)
	if !ok {
		t.Fatal("all is free")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.acquireDrivers(ctx, personsTurn("other"), two, func() {}); !errors.Is(err, context.Canceled) {
		t.Errorf("gave up by %v", err)
	}
	if own, others := l.before(personsTurn("other"), two); own+others > 0 {
		t.Errorf("%d wait", own+others)
	}
	room.release()
	if _, ok := l.tryAcquireDrivers(personsTurn("other"), two); !ok || l.driver("a").taken != 2 {
		t.Errorf("%d are taken", l.driver("a").taken)
	}
}

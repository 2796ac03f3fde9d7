package backup

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// draws are arrivals and departures that are drawn anew in each run. The seed of one
// that fails is in its name.
func draws(t *testing.T, one func(*testing.T, *rand.Rand)) {
	t.Helper()
	for range 50 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { one(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

// played are backups that come and go, as the controller has them.
type played struct {
	*testing.T
	turns    *turns
	woken    []types.NamespacedName
	backups  map[types.NamespacedName]*v1alpha1.VolumeBackup
	releases map[types.NamespacedName]func()
	served   []types.NamespacedName
}

func play(t *testing.T, turns *turns) *played {
	p := &played{T: t, turns: turns, backups: map[types.NamespacedName]*v1alpha1.VolumeBackup{}, releases: map[types.NamespacedName]func(){}}
	turns.wake = func(b types.NamespacedName) { p.woken = append(p.woken, b) }
	return p
}

// comes: a backup asks, is it new or woken.
func (p *played) comes(b *v1alpha1.VolumeBackup) {
	key := turnOf(b).NamespacedName
	p.backups[key] = b
	if release, ok := p.turns.take(b); ok {
		p.releases[key] = release
		p.served = append(p.served, key)
	}
	p.turns.settle(key)
	for len(p.woken) > 0 {
		next := p.woken[0]
		p.woken = p.woken[1:]
		p.comes(p.backups[next])
	}
}

// ends: one that is under way does.
func (p *played) ends(key types.NamespacedName) {
	p.releases[key]()
	delete(p.releases, key)
	for len(p.woken) > 0 {
		next := p.woken[0]
		p.woken = p.woken[1:]
		p.comes(p.backups[next])
	}
}

// oneOf is one of those that are under way.
func (p *played) oneOf(r *rand.Rand) types.NamespacedName {
	n := r.IntN(len(p.releases))
	for key := range p.releases {
		if n--; n < 0 {
			return key
		}
	}
	panic("n is one of them")
}

func (p *played) has(namespace string) (n int) {
	for key := range p.releases {
		if key.Namespace == namespace {
			n++
		}
	}
	return n
}

// No slot is idle while anybody waits, whoever has more than half has it since
// nobody else waited when it came, and in the end everybody was served.
func TestAttemptsAreSharedFairly(t *testing.T) {
	draws(t, func(t *testing.T, r *rand.Rand) {
		size, namespaces := 1+r.IntN(9), 1+r.IntN(5)
		p := play(t, newAttemptTurns(size, noRush, tenSeconds).turns)
		came := 0
		for i := range 400 {
			before := len(p.served)
			if r.IntN(2) == 0 || len(p.releases) == 0 {
				b := aTurn(fmt.Sprint("b", i), 1+i%7, r.IntN(2) == 0)
				b.Namespace = fmt.Sprint("n", r.IntN(1+r.IntN(namespaces)))
				came++
				p.comes(b)
			} else {
				p.ends(p.oneOf(r))
			}
			if len(p.releases) != p.turns.taken || len(p.releases) > size {
				t.Fatalf("%d are under way, %d taken, of %d", len(p.releases), p.turns.taken, size)
			}
			if waiting := came - len(p.served); waiting > 0 && len(p.releases) < size {
				t.Fatalf("%d wait, and %d of %d are under way", waiting, len(p.releases), size)
			}
			for _, key := range p.served[before:] {
				if n := p.has(key.Namespace); n > 1 && n > size/2 && anotherIsWithinHalf(p, key.Namespace) {
					t.Fatalf("%s got its %dth of %d while others waited", key.Namespace, n, size)
				}
			}
		}
		for len(p.releases) > 0 {
			p.ends(p.oneOf(r))
		}
		if len(p.served) != came {
			t.Errorf("%d of %d were served", len(p.served), came)
		}
	})
}

// anotherIsWithinHalf is true where somebody waits, of another namespace that may
// have one more.
func anotherIsWithinHalf(p *played, than string) bool {
	for _, namespace := range p.turns.line.namespaces {
		if namespace != than && p.turns.isWithinHalf(namespace, 1) {
			return true
		}
	}
	return false
}

// However many of one namespace come, old or people's, another one's is served with
// the next that ends once the first has half.
func TestAFloodOfOneNamespaceLeavesHalfToOthers(t *testing.T) {
	p := play(t, newAttemptTurns(10, noRush, tenSeconds).turns)
	for i := range 100 {
		b := aTurn(fmt.Sprint("flood", i), 1, false)
		b.Namespace = "flood"
		p.comes(b)
	}
	if p.has("flood") != 10 {
		t.Fatalf("%d are under way, and nobody else wants any", p.has("flood"))
	}
	for i := range 7 {
		b := aTurn(fmt.Sprint("late", i), 9, true)
		b.Namespace = "late"
		p.comes(b)
	}
	for n := 1; n <= 5; n++ {
		p.ends(aKeyIn(p, "flood"))
		if p.has("late") != n {
			t.Fatalf("%d of the late ones are under way, after %d have ended", p.has("late"), n)
		}
	}
	if p.ends(aKeyIn(p, "flood")); p.has("late") != 5 || p.has("flood") != 5 {
		t.Errorf("%d and %d, while both want more", p.has("late"), p.has("flood"))
	}
}

func aKeyIn(p *played, namespace string) types.NamespacedName {
	for key := range p.releases {
		if key.Namespace == namespace {
			return key
		}
	}
	p.Fatalf("none of %s is under way", namespace)
	return noBackup
}

// People's backups come first, but not for ever.
func TestABackupOfAPolicyIsOvertakenForAWhile(t *testing.T) {
	now := time.Unix(10, 0)
	p := play(t, newAttemptTurns(2, noRush, func() time.Time { return now }).turns)
	n := 0
	person := func() {
		n++
		b := aTurn(fmt.Sprint("person", n), n, false)
		b.Namespace = fmt.Sprint("people", n)
		p.comes(b)
	}
	for range 5 {
		person()
	}
	due := aTurn("due", 5, true)
	p.comes(due)
	for range 20 {
		person()
		p.ends(p.served[len(p.served)-1])
	}
	if p.has("") > 0 {
		t.Fatal("it was served before people's")
	}
	now = now.Add(longestOvertaken)
	person()
	if p.ends(p.served[len(p.served)-1]); p.has("") == 0 {
		t.Error("it is overtaken for ever")
	}
}

// A hook that hangs, of however many backups of a namespace, leaves room for whoever
// is to be thawed next.
func TestThawsThatHangLeaveRoomForOthers(t *testing.T) {
	p := play(t, newTurns(16, thawsByShare))
	for _, c := range []struct {
		namespace string
		want      int
	}{{"hangs", 8}, {"hangs-too", 4}, {"and-too", 2}, {"fourth", 1}, {"victim", 1}} {
		for i := range 100 {
			b := aTurn(fmt.Sprint(c.namespace, i), i, true)
			b.Namespace = c.namespace
			p.comes(b)
		}
		if got := p.has(c.namespace); got != c.want {
			t.Errorf("%s has %d, want %d", c.namespace, got, c.want)
		}
	}
	p.ends(aKeyIn(p, "victim"))
	if p.has("victim") != 1 {
		t.Error("of the victim's the next isn't thawed")
	}
}

// In the end each is thawed, and of each namespace the first at once.
func TestThawsAreSharedFairly(t *testing.T) {
	draws(t, func(t *testing.T, r *rand.Rand) {
		p := play(t, newTurns(1+r.IntN(20), thawsByShare))
		came := 0
		for i := range 300 {
			if r.IntN(3) > 0 || len(p.releases) == 0 {
				b := aTurn(fmt.Sprint("b", i), i, true)
				b.Namespace = fmt.Sprint("n", r.IntN(4))
				came++
				p.comes(b)
			} else {
				p.ends(p.oneOf(r))
			}
		}
		for len(p.releases) > 0 {
			p.ends(p.oneOf(r))
		}
		if len(p.served) != came || p.turns.taken != 0 {
			t.Errorf("%d of %d were thawed, %d are taken", len(p.served), came, p.turns.taken)
		}
	})
}

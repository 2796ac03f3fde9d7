package backup

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func aTurn(name string, second int, isPolicy bool) *v1alpha1.VolumeBackup {
	b := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(int64(second), 0))}}
	if isPolicy {
		b.Annotations = map[string]string{v1alpha1.AnnotationScheduledAt: "2025-11-26T02:00:00Z"}
	}
	return b
}

// Whoever waits is woken by itself, one for each attempt that ends, and doesn't
// have to look.
func TestTurnsComeInOrder(t *testing.T) {
	var woken []string
	turns := newAttemptTurns(1, noRush, tenSeconds)
	turns.wake = func(b types.NamespacedName) { woken = append(woken, b.Name) }
	release, ok := turns.take(aTurn("first", 1, true))
	if !ok {
		t.Fatal("there is one left")
	}
	all := map[string]*v1alpha1.VolumeBackup{}
	for _, b := range []*v1alpha1.VolumeBackup{aTurn("newer", 3, true), aTurn("older", 2, true), aTurn("gone", 1, true), aTurn("by-hand", 4, false)} {
		all[b.Name] = b
		for range 2 { // however often it looks, it waits once
			if _, ok := turns.take(b); ok || !turns.waits(b) {
				t.Fatalf("%s does not wait", b.Name)
			}
		}
	}
	turns.forget(types.NamespacedName{Name: "gone"})
	for len(woken) < 3 {
		had := len(woken)
		if release(); len(woken) != had+1 {
			t.Fatalf("%v are woken, by one that ended", woken)
		}
		b := all[woken[had]]
		if turns.waits(b) {
			t.Errorf("%s was woken and is at rest", b.Name)
		}
		if release, ok = turns.take(b); !ok {
			t.Fatalf("%s was woken for nothing", b.Name)
		}
	}
	if want := []string{"by-hand", "older", "newer"}; !slices.Equal(woken, want) {
		t.Errorf("the order is %v, want %v", woken, want)
	}
}

// One that is woken and doesn't come costs nobody his turn.
func TestATurnThatIsNotTakenIsTheNextOnes(t *testing.T) {
	var woken []string
	turns := newAttemptTurns(1, noRush, tenSeconds)
	turns.wake = func(b types.NamespacedName) { woken = append(woken, b.Name) }
	release, _ := turns.take(aTurn("first", 1, true))
	turns.take(aTurn("deleted", 2, true))
	turns.take(aTurn("next", 3, true))
	release()
	turns.forget(types.NamespacedName{Name: "deleted"})
	turns.settle(types.NamespacedName{Name: "deleted"})
	if want := []string{"deleted", "next"}; !slices.Equal(woken, want) {
		t.Errorf("%v are woken, want %v", woken, want)
	}
	if turns.settle(types.NamespacedName{Name: "next"}); len(woken) != 2 || turns.taken != 0 {
		t.Errorf("%v are woken and %d taken, and nobody waits", woken, turns.taken)
	}
}

func noRush() bool { return false }

func tenSeconds() time.Time { return time.Unix(10, 0) }

// While policies make what is due their backups wait, and no other's; after that
// as many begin as may.
func TestBackupsOfPoliciesYieldToWhatIsDue(t *testing.T) {
	var isRush atomic.Bool
	isRush.Store(true)
	woken := make(chan string, 10)
	turns := newAttemptTurns(2, isRush.Load, tenSeconds)
	turns.wake = func(b types.NamespacedName) { woken <- b.Name }
	begun := aTurn("begun", 1, true)
	begun.Status.StartTime = &metav1.Time{}
	for _, b := range []*v1alpha1.VolumeBackup{begun, aTurn("by-hand", 1, false)} {
		if turns.yields(b) {
			t.Errorf("%s yields", b.Name)
		}
	}
	for i, name := range []string{"c", "b", "a"} {
		if b := aTurn(name, 3-i, true); !turns.yields(b) || !turns.waits(b) {
			t.Errorf("%s doesn't wait", name)
		}
	}
	if turns.grant(noBackup); len(woken) > 0 {
		t.Errorf("%s is woken in the rush", <-woken)
	}
	isRush.Store(false)
	if first, second := <-woken, <-woken; first != "a" || second != "b" {
		t.Errorf("%s and %s are woken", first, second)
	}
	if turns.yields(aTurn("d", 4, true)) || len(woken) > 0 {
		t.Error("after the rush nobody yields, and no more are woken than may begin")
	}
}

// Where policies are late for good, their backups begin after a while all the same.
func TestABackupOfAPolicyYieldsForAWhile(t *testing.T) {
	var passed atomic.Int64
	now := func() time.Time { return time.Unix(100, 0).Add(time.Duration(passed.Load())) }
	woken := make(chan string, 10)
	turns := newAttemptTurns(2, func() bool { return true }, now)
	turns.wake = func(b types.NamespacedName) { woken <- b.Name }
	old, young := aTurn("old", 1, true), aTurn("young", 100, true)
	if !turns.yields(old) || !turns.yields(young) {
		t.Fatal("they don't yield")
	}
	passed.Store(int64(longestYield - 99*time.Second))
	if first := <-woken; first != "old" {
		t.Errorf("%s is woken", first)
	}
	if turns.yields(old) || !turns.yields(young) {
		t.Error("the old one yields, or the young one doesn't")
	}
}

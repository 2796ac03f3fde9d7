package backup

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// turns are the attempts that may be under way at once, and the backups that wait
// for one. Nobody looks again and again whether it is its turn: ten thousand
// backups that did would leave the API server no time for those that are under
// way. It is memory only: after a start every backup comes here again.
type turns struct {
	// wake brings a backup here again.
	wake func(types.NamespacedName)
	// isRush is true while policies make what is due or are late. Their backups
	// begin after that: who is due comes before who is there already.
	isRush func() bool
	now    func() time.Time

	mu   sync.Mutex
	free int
	// waiting in their order.
	waiting []turn
	// isLooking is true while somebody looks for the end of a rush.
	isLooking bool
}

const (
	// rushDelay is how often it is looked whether a rush is over.
	rushDelay = 100 * time.Millisecond
	// longestYield is how old a backup is that doesn't wait for the end of a rush
	// any more: policies may never be in time.
	longestYield = 2 * time.Minute
)

// turn is that of a backup that waits for it.
type turn struct {
	types.NamespacedName
	uid      types.UID
	isPolicy bool
	since    time.Time
}

func turnOf(b *v1alpha1.VolumeBackup) turn {
	return turn{
		NamespacedName: types.NamespacedName{Namespace: b.Namespace, Name: b.Name}, uid: b.UID,
		isPolicy: b.Annotations[v1alpha1.AnnotationScheduledAt] != "", since: b.CreationTimestamp.Time,
	}
}

// compare has a person's backup before those that were due by a schedule, and the
// older before the newer.
func (w turn) compare(other turn) int {
	if w.isPolicy != other.isPolicy {
		if w.isPolicy {
			return 1
		}
		return -1
	}
	return cmp.Or(w.since.Compare(other.since), cmp.Compare(w.Namespace, other.Namespace), cmp.Compare(w.Name, other.Name), cmp.Compare(w.uid, other.uid))
}

// yields is true for a policy's backup that hasn't begun, while policies make
// what is due. It waits for its turn then.
func (t *turns) yields(b *v1alpha1.VolumeBackup) bool {
	w := turnOf(b)
	if b.Status.StartTime != nil || !t.isRush() || !t.mayYield(w) {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, waits := slices.BinarySearchFunc(t.waiting, w, turn.compare); !waits {
		t.waiting = slices.Insert(t.waiting, i, w)
	}
	if !t.isLooking {
		t.isLooking = true
		time.AfterFunc(rushDelay, t.lookForEnd)
	}
	return true
}

func (t *turns) mayYield(w turn) bool { return w.isPolicy && t.now().Sub(w.since) < longestYield }

// lookForEnd has as many begin as may: all once the rush is over, and before that
// who has waited for too long.
func (t *turns) lookForEnd() {
	isRush := t.isRush()
	t.mu.Lock()
	t.isLooking = isRush
	free := t.free
	t.mu.Unlock()
	if isRush {
		time.AfterFunc(rushDelay, t.lookForEnd)
	}
	for range free {
		t.next()
	}
}

// take takes one of the attempts. Where none is left the backup waits, and is
// woken.
func (t *turns) take(b *v1alpha1.VolumeBackup) (release func(), ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := turnOf(b)
	i, waits := slices.BinarySearchFunc(t.waiting, w, turn.compare)
	if t.free == 0 {
		if !waits {
			t.waiting = slices.Insert(t.waiting, i, w)
		}
		return nil, false
	}
	if waits {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
	t.free--
	return t.release, true
}

func (t *turns) release() {
	t.mu.Lock()
	t.free++
	t.mu.Unlock()
	t.next()
}

// next wakes whose turn it is, where there is an attempt left. Whoever was woken
// and doesn't want it any more is followed by the next.
func (t *turns) next() {
	isRush := t.isRush()
	t.mu.Lock()
	var first *turn
	if t.free > 0 && len(t.waiting) > 0 && (!isRush || !t.mayYield(t.waiting[0])) {
		first = new(t.waiting[0])
		t.waiting = slices.Delete(t.waiting, 0, 1)
	}
	t.mu.Unlock()
	if first != nil {
		t.wake(first.NamespacedName)
	}
}

// waits is true for a backup that is woken when its turn has come.
func (t *turns) waits(b *v1alpha1.VolumeBackup) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, waits := slices.BinarySearchFunc(t.waiting, turnOf(b), turn.compare)
	return waits
}

// forget takes a backup out that wants no attempt any more.
func (t *turns) forget(backup types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = slices.DeleteFunc(t.waiting, func(w turn) bool { return w.NamespacedName == backup })
}

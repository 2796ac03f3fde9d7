package backup

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// turns are slots that backups take for a while, and the backups that wait for one.
// Nobody looks again and again whether it is its turn: ten thousand backups that did
// would leave the API server no time for those that are under way. It is memory
// only: after a start every backup comes here again.
type turns struct {
	// wake brings a backup here again, once there is a queue that it comes by.
	wake    func(types.NamespacedName)
	canWake chan struct{}
	// ranking says who comes first, now: by its rank the first of a namespace is
	// served, as line has it.
	ranking func() func(*slots, turn) int

	mu sync.Mutex
	slots
	line line[turn]
	// granted are slots of those that were woken, until they come.
	granted map[types.NamespacedName]bool
}

func newTurns(size int, ranking func() func(*slots, turn) int) *turns {
	return &turns{
		ranking: ranking, slots: newSlots(size), line: newLine[turn](), granted: map[types.NamespacedName]bool{},
		canWake: make(chan struct{}),
	}
}

// wakeBy has whose turn it is come to a controller's queue.
func (t *turns) wakeBy(q queue) {
	t.wake = func(backup types.NamespacedName) { q.Add(ctrl.Request{NamespacedName: backup}) }
	close(t.canWake)
}

// turn is that of a backup that waits for it.
type turn struct {
	types.NamespacedName
	uid      types.UID
	isPolicy bool
	hasBegun bool
	since    time.Time
}

func turnOf(b *v1alpha1.VolumeBackup) turn {
	return turn{
		NamespacedName: types.NamespacedName{Namespace: b.Namespace, Name: b.Name}, uid: b.UID,
		isPolicy: b.Annotations[v1alpha1.AnnotationScheduledAt] != "", hasBegun: b.Status.StartTime != nil, since: b.CreationTimestamp.Time,
	}
}

// compare has a person's backup before those that were due by a schedule, and the
// older before the newer. Both are of one namespace.
func (w turn) compare(other turn) int {
	if w.isPolicy != other.isPolicy {
		if w.isPolicy {
			return 1
		}
		return -1
	}
	return cmp.Or(w.since.Compare(other.since), cmp.Compare(w.Name, other.Name), cmp.Compare(w.uid, other.uid))
}

// find is the place of a turn in its namespace, where it waits or would.
func (t *turns) find(w turn) (at int, waits bool) {
	return slices.BinarySearchFunc(t.line.waiting[w.Namespace], w, turn.compare)
}

// enter has a backup wait, unless a slot is granted to it.
func (t *turns) enter(w turn) {
	if t.granted[w.NamespacedName] {
		return
	}
	at, waits := t.find(w)
	if waits {
		t.line.waiting[w.Namespace][at] = w
		return
	}
	t.line.put(w.Namespace, at, w)
}

// take takes a slot. Where it isn't the backup's turn it waits, and is woken.
func (t *turns) take(b *v1alpha1.VolumeBackup) (release func(), ok bool) {
	w := turnOf(b)
	t.mu.Lock()
	t.enter(w)
	t.mu.Unlock()
	t.grant(w.NamespacedName)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.granted[w.NamespacedName] {
		return nil, false
	}
	delete(t.granted, w.NamespacedName)
	return func() { t.release(w.Namespace) }, true
}

func (t *turns) release(namespace string) {
	t.mu.Lock()
	t.giveBack(namespace, 1)
	t.mu.Unlock()
	t.grant(noBackup)
}

// noBackup asks where nobody in particular does.
var noBackup types.NamespacedName

// grant gives the slots that are free to whose turn it is, and wakes them, but for
// the one who asks.
func (t *turns) grant(asks types.NamespacedName) {
	rank := t.ranking()
	var woken []types.NamespacedName
	t.mu.Lock()
	for t.free() > 0 {
		namespace, found := t.line.next(func(_ string, first turn) int { return rank(&t.slots, first) })
		if !found {
			break
		}
		w := t.line.serve(namespace)
		if t.granted[w.NamespacedName] { // another of that name had one before
			continue
		}
		t.slots.take(namespace, 1)
		t.granted[w.NamespacedName] = true
		if w.NamespacedName != asks {
			woken = append(woken, w.NamespacedName)
		}
	}
	t.mu.Unlock()
	for _, backup := range woken {
		t.wake(backup)
	}
}

// settle gives back what was granted to a backup that has been here and didn't
// take it: it has failed before it came to that, or is gone.
func (t *turns) settle(backup types.NamespacedName) {
	t.mu.Lock()
	wasGranted := t.granted[backup]
	if delete(t.granted, backup); wasGranted {
		t.giveBack(backup.Namespace, 1)
	}
	t.mu.Unlock()
	if wasGranted {
		t.grant(noBackup)
	}
}

// waits is true for a backup that is woken when its turn has come.
func (t *turns) waits(b *v1alpha1.VolumeBackup) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, waits := t.find(turnOf(b))
	return waits
}

// before is how many wait in a backup's namespace before it, and how many in others.
func (t *turns) before(b *v1alpha1.VolumeBackup) (inNamespace, inOthers int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	inNamespace, _ = t.find(turnOf(b))
	return inNamespace, t.line.inOthers(b.Namespace)
}

// forget takes a backup out that wants no turn any more.
func (t *turns) forget(backup types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line.drop(backup.Namespace, func(w turn) bool { return w.NamespacedName == backup })
}

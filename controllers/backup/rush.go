package backup

import (
	"sync"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

// attemptTurns are those of the attempts that may be under way. While policies make
// what is due, or are late, their backups wait to begin: who is due comes before who
// is there already.
type attemptTurns struct {
	*turns
	isRush func() bool
	now    func() time.Time

	looking sync.Mutex
	// isLooking is true while somebody looks for the end of a rush.
	isLooking bool
}

const (
	// rushDelay is how often it is looked whether a rush is over.
	rushDelay = 100 * time.Millisecond
	// longestYield is how old a backup is that doesn't wait for the end of a rush
	// any more: policies may never be in time.
	longestYield = 2 * time.Minute
	// longestOvertaken is how old a policy's backup is that people's backups don't
	// overtake any more: they may never end.
	longestOvertaken = 10 * time.Minute
)

func newAttemptTurns(size int, isRush func() bool, now func() time.Time) *attemptTurns {
	t := &attemptTurns{isRush: isRush, now: now}
	t.turns = newTurns(size, t.byShare)
	return t
}

// byShare has those wait that are to yield.
func (t *attemptTurns) byShare() func(*slots, turn) int {
	isRush, now := t.isRush(), t.now()
	return func(s *slots, w turn) int {
		if isRush && w.mayYield(now) {
			return notYet
		}
		return w.rank(s, 1, now)
	}
}

// rank has namespaces first that have at most half of all with n more, then people's
// backups.
func (w turn) rank(s *slots, n int, now time.Time) int {
	rank := 0
	if !s.isWithinHalf(w.Namespace, n) {
		rank += 2
	}
	if w.isPolicy && cut.Left(w.since, longestOvertaken, now) > 0 {
		rank++
	}
	return rank
}

func (w turn) mayYield(now time.Time) bool {
	return w.isPolicy && !w.hasBegun && cut.Left(w.since, longestYield, now) > 0
}

// yields is true for a policy's backup that hasn't begun, while policies make what
// is due. It waits for its turn then.
func (t *attemptTurns) yields(b *v1alpha1.VolumeBackup) bool {
	w := turnOf(b)
	if !w.mayYield(t.now()) || !t.isRush() {
		return false
	}
	t.mu.Lock()
	isItsTurn := t.granted[w.NamespacedName]
	t.enter(w)
	t.mu.Unlock()
	if isItsTurn {
		return false
	}
	t.looking.Lock()
	defer t.looking.Unlock()
	if !t.isLooking {
		t.isLooking = true
		time.AfterFunc(rushDelay, t.lookForEnd)
	}
	return true
}

// lookForEnd has as many begin as may: all once the rush is over, and before that
// who has waited for too long.
func (t *attemptTurns) lookForEnd() {
	isRush := t.isRush()
	t.looking.Lock()
	t.isLooking = isRush
	t.looking.Unlock()
	if isRush {
		time.AfterFunc(rushDelay, t.lookForEnd)
	}
	t.grant(noBackup)
}

package backup

import "time"

// pace is how fast a driver's snapshots are begun. The snapshot controllers have a
// limit of their own on how often they ask the API server, and ask several times for
// each snapshot, most of it once that is cut. Asked for more than they can follow,
// they have the next cut wait, and its application is frozen while it does. So who
// waits for that waits before it is frozen.
//
// It is a bucket that holds one snapshot and may owe any number: an attempt begins
// once nothing is owed, and owes then as many as it makes. One that comes after a
// pause never waits.
type pace struct {
	// each is how long the controllers are busy with a snapshot; 0 is no limit.
	each time.Duration
	// idleAt is when they are done with all that was begun. It is never written: clocks
	// that are set don't move it.
	idleAt time.Time
}

// newPace is that of so many snapshots a second; 0 is no limit.
func newPace(perSecond float64) pace {
	if perSecond <= 0 {
		return pace{}
	}
	return pace{each: time.Duration(float64(time.Second) / perSecond)}
}

// left is how long it is before the next may begin, not positive where it may now.
func (p *pace) left(now time.Time) time.Duration { return p.idleAt.Sub(now) }

func (p *pace) begin(n int, now time.Time) {
	if p.each == 0 {
		return
	}
	if now.After(p.idleAt) {
		p.idleAt = now
	}
	p.idleAt = p.idleAt.Add(time.Duration(n) * p.each)
}

// giveBack is for n that were begun and never made.
func (p *pace) giveBack(n int) { p.idleAt = p.idleAt.Add(-time.Duration(n) * p.each) }

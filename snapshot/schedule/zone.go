package schedule

import (
	"time"
)

// isSet is true for a clock that is put so far that Debian's cron takes it for
// set anew, and what it skips or repeats for nothing. cron looks at it a minute
// after the last time, so that three hours ahead are too far and three back aren't.
func isSet(put time.Duration) bool {
	const far = 3 * time.Hour
	return put >= far || put < -far
}

// stretch is a time in which a zone has one offset, and what a clock's matches
// mean in it.
type stretch struct {
	offset time.Duration
	// from and to, which isn't in it, as the clock on the wall reads them: what
	// matches there is due.
	from, to time.Time
	// isDueAtOnce: something is due at its very start, since it was skipped.
	isDueAtOnce bool
	// start and end are the stretch's own, zero where it has none.
	start, end time.Time
}

// Clocks are read off UTC where a zone has no bound.
var (
	earliest = time.Date(1, 1, 3, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 30, 0, 0, 0, 0, time.UTC)
)

// stretchAt is the stretch of a zone that a moment is in.
func (c clock) stretchAt(at time.Time, zone *time.Location) stretch {
	_, seconds := at.In(zone).Zone()
	start, end := bounds(at, zone)
	s := stretch{offset: time.Duration(seconds) * time.Second, start: start, end: end, from: earliest, to: latest}
	if !end.IsZero() {
		s.to = s.onWall(end)
	}
	if start.IsZero() {
		return s
	}
	s.from = s.onWall(start)
	_, before := start.Add(-1).In(zone).Zone()
	left := start.UTC().Add(time.Duration(before) * time.Second) // what the clock read then
	switch put := s.from.Sub(left); {
	case c.follows || isSet(put) || put == 0:
	case put > 0:
		_, skipped := c.next(left, s.from)
		s.isDueAtOnce = skipped && !c.matches(s.from)
	default: // what is repeated was due the first time
		s.from = left
	}
	return s
}

// bounds are those of a stretch with one offset, which may be longer than they
// say. Beyond the changes that are listed Go ends a stretch with the year, and
// takes each year for one of 365 days.
func bounds(at time.Time, zone *time.Location) (start, end time.Time) {
	start, end = at.In(zone).ZoneBounds()
	if !end.IsZero() && !end.After(at) {
		end = time.Date(at.UTC().Year()+1, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return start, end
}

func (s stretch) onWall(at time.Time) time.Time { return at.UTC().Add(s.offset) }
func (s stretch) at(wall time.Time) time.Time   { return wall.Add(-s.offset) }

// next is the first due moment after another, in any stretch from that one on.
func (c clock) nextIn(zone *time.Location, after, limit time.Time) (time.Time, bool) {
	for at := after; at.Before(limit); {
		s := c.stretchAt(at, zone)
		if s.isDueAtOnce && s.start.After(after) {
			return s.start.UTC(), true
		}
		from := s.onWall(after).Add(1)
		if from.Before(s.from) {
			from = s.from
		}
		// A clock that was put back may read less at the end of a stretch than
		// what is of it: nothing is due then.
		if wall, found := c.next(from, s.to); found {
			return s.at(wall), true
		}
		if s.end.IsZero() {
			break
		}
		at = s.end
	}
	return time.Time{}, false
}

// lastIn is the last due moment that isn't after one moment, and after another.
func (c clock) lastIn(zone *time.Location, after, until time.Time) (time.Time, bool) {
	for at := until; at.After(after); {
		s := c.stretchAt(at, zone)
		before, limit := s.onWall(until).Add(1), s.onWall(after).Add(1)
		if s.to.Before(before) {
			before = s.to
		}
		if limit.Before(s.from) {
			limit = s.from
		}
		if wall, found := c.previous(before, limit); found {
			return s.at(wall), true
		}
		if s.isDueAtOnce && s.start.After(after) {
			return s.start.UTC(), true
		}
		if s.start.IsZero() {
			break
		}
		at = s.start.Add(-1)
	}
	return time.Time{}, false
}

// countIn is how many moments are due after one moment, until another.
func (c clock) countIn(zone *time.Location, after, until time.Time) (n int) {
	for at := after; !at.After(until); {
		s := c.stretchAt(at, zone)
		from, before := s.onWall(after).Add(1), s.onWall(until).Add(1)
		if from.Before(s.from) {
			from = s.from
		}
		if s.to.Before(before) {
			before = s.to
		}
		if from.Before(before) {
			n += c.count(from, before)
		}
		if s.isDueAtOnce && s.start.After(after) && !s.start.After(until) {
			n++
		}
		if s.end.IsZero() {
			break
		}
		at = s.end
	}
	return n
}

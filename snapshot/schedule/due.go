package schedule

import (
	"hash/fnv"
	"time"
)

// Due is what a schedule asks for at a moment.
type Due struct {
	// At is the moment to run for, zero where there is nothing to run.
	At time.Time
	// Newest is the newest moment that was due, whether it is run for or not:
	// what has been dealt with. It is zero where none was.
	Newest time.Time
	// Missed is how many moments were due and aren't run for.
	Missed int
	// Next is when to ask again.
	Next time.Time
}

// Since is what is due now, where all until a moment has been dealt with. Of
// several missed moments the newest is run for, if it isn't longer ago than the
// deadline; a deadline of 0 is none.
func (s Schedule) Since(dealtWith, now time.Time, deadline time.Duration) Due {
	due := Due{Next: s.Next(now)}
	newest, found := s.Last(dealtWith, now)
	if !found {
		return due
	}
	due.Newest, due.Missed = newest, s.Count(dealtWith, now)
	if deadline == 0 || now.Sub(newest) <= deadline {
		due.At = newest
		due.Missed--
	}
	return due
}

// Offset is where in a window one of many runs: anywhere, evenly, and always at
// the same place, whole seconds from its start. who names it, from the widest to
// the narrowest.
func Offset(window time.Duration, who ...string) time.Duration {
	seconds := uint64(window / time.Second)
	if seconds == 0 {
		return 0
	}
	hash := fnv.New64a()
	for _, name := range who {
		hash.Write(append([]byte(name), 0))
	}
	// FNV's last bytes move its low bits most: all of it counts.
	sum := hash.Sum64()
	sum ^= sum >> 32
	return time.Duration(sum%seconds) * time.Second
}

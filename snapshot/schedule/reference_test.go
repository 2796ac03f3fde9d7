package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// field is one of the five, as text and as the values that it means.
type field struct {
	text string
	is   map[int]bool
}

func (f field) hasStar() bool { return strings.HasPrefix(f.text, "*") }

// aField draws a field with values between two.
func aField(r *rand.Rand, lowest, highest int) field {
	f := field{is: map[int]bool{}}
	add := func(from, to, step int) {
		for v := from; v <= to; v += step {
			f.is[v] = true
		}
	}
	switch r.IntN(6) {
	case 0, 1:
		f.text = "*"
		add(lowest, highest, 1)
	case 2:
		step := 1 + r.IntN(highest)
		f.text = fmt.Sprintf("*/%d", step)
		add(lowest, highest, step)
	case 3:
		from := lowest + r.IntN(highest-lowest+1)
		to := from + r.IntN(highest-from+1)
		f.text = fmt.Sprintf("%d-%d", from, to)
		add(from, to, 1)
	default:
		var parts []string
		for range 1 + r.IntN(3) {
			v := lowest + r.IntN(highest-lowest+1)
			parts = append(parts, fmt.Sprint(v))
			f.is[v] = true
		}
		f.text = strings.Join(parts, ",")
	}
	return f
}

// reference is an expression whose meaning is written down as it is said: minute
// by minute, as Debian's cron goes through the time.
type reference struct{ minute, hour, day, month, weekday field }

func aReference(r *rand.Rand) reference {
	return reference{aField(r, 0, 59), aField(r, 0, 23), aField(r, 1, 31), aField(r, 1, 12), aField(r, 0, 7)}
}

// anOftenDueReference is due on most days.
func anOftenDueReference(r *rand.Rand) reference {
	e, every := aReference(r), reference{day: all(1, 31), month: all(1, 12), weekday: all(0, 7)}
	for _, f := range []struct{ of, all *field }{{&e.day, &every.day}, {&e.month, &every.month}, {&e.weekday, &every.weekday}} {
		if r.IntN(4) > 0 {
			*f.of = *f.all
		}
	}
	return e
}

func all(lowest, highest int) field {
	f := field{text: "*", is: map[int]bool{}}
	for v := lowest; v <= highest; v++ {
		f.is[v] = true
	}
	return f
}

func (e reference) String() string {
	return strings.Join([]string{e.minute.text, e.hour.text, e.day.text, e.month.text, e.weekday.text}, " ")
}

func (e reference) matches(wall time.Time) bool {
	day, weekday := e.day.is[wall.Day()], e.weekday.is[int(wall.Weekday())] || wall.Weekday() == time.Sunday && e.weekday.is[7]
	isDay := day || weekday
	if e.day.hasStar() || e.weekday.hasStar() {
		isDay = day && weekday
	}
	return isDay && e.month.is[int(wall.Month())] && e.hour.is[wall.Hour()] && e.minute.is[wall.Minute()]
}

func (e reference) follows() bool { return e.minute.hasStar() || e.hour.hasStar() }

// due are the moments after one and until another. Its clock starts a day before.
func (e reference) due(zone *time.Location, after, until time.Time) (due []time.Time) {
	at := after.Truncate(time.Minute).Add(-24 * time.Hour)
	virtual := onWall(at, zone)
	for ; !at.After(until); at = at.Add(time.Minute) {
		wall, isDue := onWall(at, zone), false
		ahead := wall.Sub(virtual)
		switch {
		case ahead > 3*time.Hour || ahead <= -3*time.Hour: // the clock was set
			isDue, virtual = e.matches(wall), wall
		case e.follows():
			isDue, virtual = e.matches(wall), wall
		default: // nothing, where the clock was put back and hasn't caught up
			for virtual.Before(wall) {
				virtual = virtual.Add(time.Minute)
				isDue = isDue || e.matches(virtual)
			}
		}
		if isDue && at.After(after) {
			due = append(due, at)
		}
	}
	return due
}

func onWall(at time.Time, zone *time.Location) time.Time {
	_, offset := at.In(zone).Zone()
	return at.UTC().Add(time.Duration(offset) * time.Second)
}

// changes are the moments at which a zone's clock is changed between two.
func changes(zone *time.Location, from, to time.Time) (all []time.Time) {
	for at := from; ; {
		_, end := bounds(at, zone)
		if end.IsZero() || end.After(to) {
			return all
		}
		all = append(all, end.UTC())
		at = end
	}
}

// all are the due moments after one and until another, asked for one by one.
func (s Schedule) all(after, until time.Time) (due []time.Time) {
	for at := s.Next(after); !at.IsZero() && !at.After(until); at = s.Next(at) {
		due = append(due, at)
	}
	return due
}

// backwards are the same, asked for from the newest on.
func (s Schedule) backwards(after, until time.Time) (due []time.Time) {
	for at, found := s.Last(after, until); found; at, found = s.Last(after, at.Add(-1)) {
		due = append(due, at)
	}
	slices.Reverse(due)
	return due
}

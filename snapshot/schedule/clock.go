package schedule

import (
	"math/bits"
	"time"

	"github.com/robfig/cron/v3"
)

// clock are the minutes that an expression matches, of a clock on a wall. A
// moment of such a clock is a time in UTC that reads the same.
type clock struct {
	minutes, hours, days, months, weekdays uint64
	// bothDays: a day has to be one of the month's and one of the week's, as
	// where one of the two begins with a star; else one of them is enough.
	bothDays bool
	// follows is true for what follows the clock through its changes.
	follows bool
}

func clockOf(s *cron.SpecSchedule, minute, hour, day, weekday string) clock {
	const fields = 1<<63 - 1 // without the star that robfig/cron notes there
	return clock{
		minutes: s.Minute & fields, hours: s.Hour & fields, days: s.Dom & fields, months: s.Month & fields, weekdays: s.Dow & fields,
		bothDays: hasStar(day) || hasStar(weekday),
		follows:  hasStar(minute) || hasStar(hour),
	}
}

// hasStar is true for *, */2 and ?.
func hasStar(field string) bool { return field[0] == '*' || field[0] == '?' }

// cycle is after how many years the calendar repeats itself.
const cycle = 400

func (c clock) matchesDay(day time.Time) bool {
	inMonth, inWeek := c.days>>day.Day()&1 == 1, c.weekdays>>int(day.Weekday())&1 == 1
	if c.months>>int(day.Month())&1 == 0 {
		return false
	}
	if c.bothDays {
		return inMonth && inWeek
	}
	return inMonth || inWeek
}

func (c clock) matches(wall time.Time) bool {
	return c.matchesDay(wall) && c.hours>>wall.Hour()&1 == 1 && c.minutes>>wall.Minute()&1 == 1
}

// next is the first match at or after a moment, before a limit.
func (c clock) next(from, limit time.Time) (time.Time, bool) {
	from = ceil(from)
	for day := midnight(from); day.Before(limit); day = day.AddDate(0, 0, 1) {
		if c.months>>int(day.Month())&1 == 0 {
			day = time.Date(day.Year(), day.Month()+1, 0, 0, 0, 0, 0, time.UTC)
			continue
		}
		if !c.matchesDay(day) {
			continue
		}
		for hour := range 24 {
			if c.hours>>hour&1 == 0 || day.Add(time.Duration(hour+1)*time.Hour).Sub(from) <= 0 {
				continue
			}
			for minute := range 60 {
				at := day.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
				if c.minutes>>minute&1 == 1 && !at.Before(from) {
					return at, at.Before(limit)
				}
			}
		}
	}
	return time.Time{}, false
}

// previous is the last match before a moment, at or after a limit.
func (c clock) previous(before, limit time.Time) (time.Time, bool) {
	for day := midnight(before); !day.Add(24 * time.Hour).Before(limit); day = day.AddDate(0, 0, -1) {
		if c.months>>int(day.Month())&1 == 0 {
			day = time.Date(day.Year(), day.Month(), 1, 0, 0, 0, 0, time.UTC)
			continue
		}
		if !c.matchesDay(day) {
			continue
		}
		for hour := 23; hour >= 0; hour-- {
			if c.hours>>hour&1 == 0 {
				continue
			}
			for minute := 59; minute >= 0; minute-- {
				at := day.Add(time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute)
				if c.minutes>>minute&1 == 1 && at.Before(before) {
					return at, !at.Before(limit)
				}
			}
		}
	}
	return time.Time{}, false
}

// gapInDay is how close two matches of one day come to each other, 0 where a day
// has only one, and when in the day the first and the last are.
func (c clock) gapInDay() (gap, first, last time.Duration) {
	first = -1
	for minute := range 24 * 60 {
		if c.hours>>(minute/60)&1 == 0 || c.minutes>>(minute%60)&1 == 0 {
			continue
		}
		at := time.Duration(minute) * time.Minute
		if first < 0 {
			first, last = at, at
			continue
		}
		if gap == 0 || at-last < gap {
			gap = at - last
		}
		last = at
	}
	return gap, first, last
}

// daysBetween is how many days two days that match are apart at least. Weekdays
// fall on the same dates again after 28 years, but for centuries.
func (c clock) daysBetween() int {
	day := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	least, since := 28*366, 28*366
	for range 2 * 28 * 366 {
		if since++; c.matchesDay(day) {
			least, since = min(least, since), 0
		}
		if least == 1 {
			break
		}
		day = day.AddDate(0, 0, 1)
	}
	return least
}

// count is how many matches there are from a moment on, before another. It costs
// as much as there are days between them.
func (c clock) count(from, before time.Time) (n int) {
	from, before = ceil(from), ceil(before)
	for day := midnight(from); day.Before(before); day = day.AddDate(0, 0, 1) {
		if !c.matchesDay(day) {
			continue
		}
		first, last := 0, 24*60
		if from.After(day) {
			first = int(from.Sub(day) / time.Minute)
		}
		if end := day.AddDate(0, 0, 1); before.Before(end) {
			last = int(before.Sub(day) / time.Minute)
		}
		n += c.inDay(last) - c.inDay(first)
	}
	return n
}

// inDay is how many minutes match before that minute of a day that does.
func (c clock) inDay(minute int) int {
	n := bits.OnesCount64(c.hours&(1<<(minute/60)-1)) * bits.OnesCount64(c.minutes)
	if hour := minute / 60; hour < 24 && c.hours>>hour&1 == 1 {
		n += bits.OnesCount64(c.minutes & (1<<(minute%60) - 1))
	}
	return n
}

func midnight(wall time.Time) time.Time { return wall.Truncate(24 * time.Hour) }

// ceil is the first whole minute that isn't before a moment.
func ceil(wall time.Time) time.Time {
	if whole := wall.Truncate(time.Minute); whole.Before(wall) {
		return whole.Add(time.Minute)
	}
	return wall
}

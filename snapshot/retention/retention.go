package retention

import (
	"slices"
	"time"
)

// Forever is a count without a limit.
const Forever = -1

// Rules say what is kept. Each counts by itself, and what any of them keeps is
// kept. The zero value keeps all.
type Rules struct {
	// Last, and the newest of each of so many hours, days, ISO weeks, months and
	// years that have one. 0 is none, Forever all.
	Last, Hourly, Daily, Weekly, Monthly, Yearly int
	// Within keeps all that is younger than that before the newest; the others the
	// newest of each hour, day and so on since then. The zero span is none.
	Within, WithinHourly, WithinDaily, WithinWeekly, WithinMonthly, WithinYearly Span
}

// A Backup is what there is to know of a complete one.
type Backup struct {
	Name string
	// At is the moment that it was due, or that it was cut where it was made by
	// hand.
	At time.Time
	// IsProven: its verdict is Proven.
	IsProven bool
	// IsHeld: somebody asked for it to be kept, or works with it.
	IsHeld bool
}

// Split divides an application's complete backups into those that are kept and
// those that aren't, each of them newest first. Hours, days and so on are those of
// zone.
func (r Rules) Split(backups []Backup, zone *time.Location, now time.Time) (kept, surplus []Backup) {
	sorted := slices.Clone(backups)
	slices.SortStableFunc(sorted, func(a, b Backup) int { return b.At.Compare(a.At) })
	keeps := r.keeps(sorted, zone, now)
	proven := slices.IndexFunc(sorted, func(b Backup) bool { return b.IsProven })
	for i, b := range sorted {
		if keeps[i] || i == 0 || i == proven || b.IsHeld {
			kept = append(kept, b)
		} else {
			surplus = append(surplus, b)
		}
	}
	return kept, surplus
}

// rule keeps the newest backup of each bucket, of so many, and younger than since.
// The oldest backup of all counts as a bucket's newest where there is a count
// left, and where it is young enough, so that the history is as long as it may be.
type rule struct {
	bucket  func(at time.Time, nth int) int
	count   int
	isSince bool
	since   time.Time
}

// keeps tells which backups the rules keep, of those that are sorted, newest
// first.
func (r Rules) keeps(sorted []Backup, zone *time.Location, now time.Time) []bool {
	keeps := make([]bool, len(sorted))
	for _, rule := range r.rules(newest(sorted, now).In(zone)) {
		left, last := rule.count, -1
		for i, b := range sorted {
			isOldest := i == len(sorted)-1
			bucket := rule.bucket(b.At.In(zone), i)
			if left == 0 || rule.isSince && !b.At.After(rule.since) || bucket == last && !isOldest {
				continue
			}
			keeps[i], last = true, bucket
			if left > 0 {
				left--
			}
		}
	}
	if r == (Rules{}) {
		for i := range keeps {
			keeps[i] = true
		}
	}
	return keeps
}

func (r Rules) rules(newest time.Time) (all []rule) {
	for _, c := range []struct {
		count  int
		within Span
		bucket func(time.Time, int) int
	}{
		{r.Last, r.Within, each}, {r.Hourly, r.WithinHourly, hour}, {r.Daily, r.WithinDaily, day},
		{r.Weekly, r.WithinWeekly, week}, {r.Monthly, r.WithinMonthly, month}, {r.Yearly, r.WithinYearly, year},
	} {
		if c.count > 0 || c.count == Forever {
			all = append(all, rule{bucket: c.bucket, count: c.count})
		}
		if !c.within.IsZero() {
			all = append(all, rule{bucket: c.bucket, count: Forever, isSince: true, since: c.within.Before(newest)})
		}
	}
	return all
}

// newest is when the newest backup is from that isn't in the future.
func newest(sorted []Backup, now time.Time) time.Time {
	for _, b := range sorted {
		if b.At.Before(now) {
			return b.At
		}
	}
	return time.Time{}
}

// Buckets, as numbers that differ where the buckets do.

func each(_ time.Time, nth int) int  { return nth }
func year(at time.Time, _ int) int   { return at.Year() }
func month(at time.Time, _ int) int  { return at.Year()*100 + int(at.Month()) }
func day(at time.Time, nth int) int  { return month(at, nth)*100 + at.Day() }
func hour(at time.Time, nth int) int { return day(at, nth)*100 + at.Hour() }

func week(at time.Time, _ int) int {
	year, week := at.ISOWeek()
	return year*100 + week
}

// KeepsNothing is true for rules that are there and keep none, as a count below
// Forever.
func (r Rules) KeepsNothing() bool {
	return r != (Rules{}) && len(r.rules(time.Time{})) == 0
}

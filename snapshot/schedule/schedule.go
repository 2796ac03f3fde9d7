package schedule

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the image has no zones of its own

	"github.com/robfig/cron/v3"
)

// A Schedule says when something is due. Due moments are whole minutes, but for
// those of @every, which are counted from its anchor.
type Schedule struct {
	clock clock
	zone  *time.Location
	// every and anchor are those of @every, which knows no clock.
	every  time.Duration
	anchor time.Time
}

// leastEvery is how often something may be due, as by the five fields.
const leastEvery = time.Minute

const theFive = "minute hour day-of-month month day-of-week, as in 0 2 * * *"

var (
	parser   = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	withZone = regexp.MustCompile(`(?i)^(CRON_)?TZ=`)
	// untilSeven is a range of weekdays until a Sunday, with its step.
	untilSeven   = regexp.MustCompile(`^(\w+)-7(?:/(\d+))?$`)
	weekdayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// dayOfEveryMonth is the last day that each month has.
const dayOfEveryMonth = "28"

// descriptors are written out: which of them follow the clock stands in their
// fields.
var descriptors = map[string]string{
	"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
	"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}

// Parse reads an expression of five fields, one of @hourly, @daily, @weekly,
// @monthly and @yearly, or @every with a duration, which is counted from anchor.
// zone is a name of the IANA's, UTC where it is empty. Errors say what to write
// instead.
func Parse(expression, zone string, anchor time.Time) (Schedule, error) {
	s := Schedule{anchor: anchor}
	var err error
	if s.zone, err = parseZone(zone); err != nil {
		return Schedule{}, err
	}
	expression = strings.TrimSpace(expression)
	if withZone.MatchString(expression) {
		return Schedule{}, errors.New("a schedule has no time zone in it: write that as timeZone")
	}
	if text, is := strings.CutPrefix(expression, "@every"); is {
		s.every, err = parseEvery(strings.TrimSpace(text))
		return s, err
	}
	if strings.HasPrefix(expression, "@") {
		known, is := descriptors[strings.ToLower(expression)]
		if !is {
			return Schedule{}, fmt.Errorf("there is no %s: write @hourly, @daily, @weekly, @monthly, @yearly, @every 1h, or five fields, %s", expression, theFive)
		}
		expression = known
	}
	s.clock, err = parseFields(strings.Fields(expression))
	return s, err
}

func parseZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("there is no time zone %q: write one as the IANA names them, as Europe/Zurich or Etc/UTC", name)
	}
	return zone, nil
}

func parseEvery(text string) (time.Duration, error) {
	every, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q after @every is no duration: write it as 90m or 12h", text)
	case every < leastEvery:
		return 0, fmt.Errorf("@every %s is too often: write @every %s, or more", text, leastEvery)
	case every%time.Second != 0:
		return 0, fmt.Errorf("@every %s: write whole seconds", text)
	}
	return every, nil
}

func parseFields(fields []string) (clock, error) {
	switch len(fields) {
	case 5:
	case 6:
		return clock{}, fmt.Errorf("a schedule has five fields, without seconds: write %s", strings.Join(fields[1:], " "))
	default:
		return clock{}, fmt.Errorf("a schedule has five fields, not %d: %s", len(fields), theFive)
	}
	expression := strings.Join(fields, " ")
	parsed, err := parser.Parse(strings.Join(append(slices.Clone(fields[:4]), withoutSeven(fields[4])), " "))
	if err != nil {
		return clock{}, fmt.Errorf("%q can't be read: %w; the five fields are %s", expression, err, theFive)
	}
	spec, is := parsed.(*cron.SpecSchedule)
	if !is {
		return clock{}, fmt.Errorf("%q can't be read; the five fields are %s", expression, theFive)
	}
	c := clockOf(spec, fields[0], fields[1], fields[2], fields[4])
	from := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, ever := c.next(from, from.AddDate(cycle, 0, 0)); !ever {
		fields[2] = dayOfEveryMonth // weekdays come in every month: it is the day that doesn't
		return clock{}, fmt.Errorf("%q is never due: none of its months has such a day; write one that they have, as in %s", expression, strings.Join(fields, " "))
	}
	return c, nil
}

// withoutSeven writes Sunday, which is 7 as well as 0, as 0 alone: robfig/cron
// knows no 7. A range may end there, and what isn't understood stays.
func withoutSeven(weekdays string) string {
	ranges := strings.Split(weekdays, ",")
	for i, r := range ranges {
		if r == "7" {
			ranges[i] = "0"
		}
		parts := untilSeven.FindStringSubmatch(r)
		if parts == nil {
			continue
		}
		from, step := weekday(parts[1]), digit(cmp.Or(parts[2], "1"))
		if from < 0 || step < 1 {
			continue
		}
		var days []string
		for day := from; day <= 7; day += step {
			days = append(days, strconv.Itoa(day%7))
		}
		ranges[i] = strings.Join(days, ",")
	}
	return strings.Join(ranges, ",")
}

// weekday is the number of a day by its number or name, -1 for what is neither.
func weekday(text string) int {
	if n := slices.Index(weekdayNames, strings.ToLower(text)); n >= 0 {
		return n
	}
	return digit(text)
}

// digit is a number from 0 to 7, -1 for what is none.
func digit(text string) int {
	if len(text) != 1 || text[0] < '0' || text[0] > '7' {
		return -1
	}
	return int(text[0] - '0')
}

// Zone is that of its clock.
func (s Schedule) Zone() *time.Location { return s.zone }

// Next is the first due moment after another.
func (s Schedule) Next(after time.Time) time.Time {
	if s.every > 0 {
		if after.Before(s.anchor) {
			return s.anchor.Add(s.every)
		}
		return s.anchor.Add((after.Sub(s.anchor)/s.every + 1) * s.every)
	}
	due, _ := s.clock.nextIn(s.zone, after, after.AddDate(cycle, 0, 0))
	return due
}

// Last is the newest moment that was due after one moment and until another. It
// is false where none was.
func (s Schedule) Last(after, until time.Time) (time.Time, bool) {
	if s.every > 0 {
		if until.Before(s.anchor) {
			return time.Time{}, false
		}
		n := until.Sub(s.anchor) / s.every
		due := s.anchor.Add(n * s.every)
		return due, n > 0 && due.After(after)
	}
	return s.clock.lastIn(s.zone, after, until)
}

// IsDue is true for a moment at which something is due.
func (s Schedule) IsDue(at time.Time) bool {
	last, is := s.Last(at.Add(-time.Nanosecond), at)
	return is && last.Equal(at)
}

// Count is how many moments were due after one moment and until another. It
// costs as much as there are days between them, however often something was due.
func (s Schedule) Count(after, until time.Time) int {
	if s.every > 0 {
		upTo := func(at time.Time) int { return max(0, int(at.Sub(s.anchor)/s.every)) }
		return max(0, upTo(until)-upTo(after))
	}
	return s.clock.countIn(s.zone, after, until)
}

// ShortestGap is how close two due moments come to each other while no clock is
// changed.
func (s Schedule) ShortestGap() time.Duration {
	if s.every > 0 {
		return s.every
	}
	inDay, first, last := s.clock.gapInDay()
	between := time.Duration(s.clock.daysBetween())*24*time.Hour - last + first
	if inDay > 0 {
		return min(inDay, between)
	}
	return between
}

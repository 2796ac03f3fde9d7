package retention

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// A Span is a time by the calendar, as restic's durations: how long a month or a
// day of it is depends on where it is counted from.
type Span struct {
	Years, Months, Days, Hours int
}

// Six digits of hours, a hundred years, are far from what a time.Duration holds.
var spans = regexp.MustCompile(`^(?:(\d{1,6})y)?(?:(\d{1,6})m)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?$`)

// ParseSpan reads years, months, days and hours, in this order, each of which may
// be left out: 1y6m7d48h. An empty text is no time at all. The error says what to
// write instead.
func ParseSpan(text string) (Span, error) {
	said := spans.FindStringSubmatch(text)
	if said == nil {
		return Span{}, fmt.Errorf("%q can't be read: write years, months, days and hours, in this order and each of at most six digits, as 48h, 30d or 1y6m", text)
	}
	var numbers [4]int
	for i, digits := range said[1:] {
		numbers[i], _ = strconv.Atoi(digits) // what is left out is 0
	}
	return Span{Years: numbers[0], Months: numbers[1], Days: numbers[2], Hours: numbers[3]}, nil
}

// IsZero is true for no time at all.
func (s Span) IsZero() bool { return s == Span{} }

// Before is so long before a moment, by the calendar of that moment's zone: the
// date first, then the hours.
func (s Span) Before(at time.Time) time.Time {
	return at.AddDate(-s.Years, -s.Months, -s.Days).Add(-time.Duration(s.Hours) * time.Hour)
}

package retention

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Span is a time back from a backup, as restic has it: a year, a month and a day
// are those of the calendar.
type Span struct{ Years, Months, Days, Hours int }

var spans = regexp.MustCompile(`^(?:(\d{1,4})y)?(?:(\d{1,5})m)?(?:(\d{1,6})d)?(?:(\d{1,7})h)?$`)

// ParseSpan reads 48h, 30d or 1y6m. No text is no time. Errors say what to write
// instead.
func ParseSpan(text string) (Span, error) {
	parts := spans.FindStringSubmatch(text)
	if parts == nil {
		return Span{}, fmt.Errorf("%q is no time: write years, months, days and hours, in this order, as 48h, 30d or 1y6m", text)
	}
	number := func(digits string) int {
		n, _ := strconv.Atoi(digits) // they are few digits, or none
		return n
	}
	return Span{number(parts[1]), number(parts[2]), number(parts[3]), number(parts[4])}, nil
}

// IsZero is true for no time at all.
func (s Span) IsZero() bool { return s == Span{} }

// Before is the moment that is so long before another.
func (s Span) Before(at time.Time) time.Time {
	return at.AddDate(-s.Years, -s.Months, -s.Days).Add(-time.Duration(s.Hours) * time.Hour)
}

package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var zones = []string{"Etc/UTC", "Europe/Zurich", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "America/New_York", "Antarctica/Casey", "Antarctica/Troll"}

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func parsed(t testing.TB, expression, zone string) Schedule {
	t.Helper()
	s, err := Parse(expression, zone, time.Time{})
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return s
}

func read(t testing.TB, zone, moment string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04", moment, location(t, zone))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Whatever is drawn, around every change of a zone's clock and where none is.
func TestDueAsDebiansCronWouldHaveIt(t *testing.T) {
	from, to := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, name := range zones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zone, r := location(t, name), rand.New(rand.NewPCG(1, uint64(len(name))))
			moments := append(changes(zone, from, to), time.Date(2024, 2, 28, 12, 0, 0, 0, time.UTC), time.Date(2025, 12, 31, 12, 0, 0, 0, time.UTC))
			for range 100 {
				at := moments[r.IntN(len(moments))].Add(time.Duration(r.IntN(600)-300) * time.Minute)
				compare(t, anOftenDueReference(r), name, at.Add(-36*time.Hour), at.Add(36*time.Hour))
			}
		})
	}
}

// compare holds the four ways to ask a schedule against the reference.
func compare(t *testing.T, e reference, zone string, after, until time.Time) {
	t.Helper()
	s, err := Parse(e.String(), zone, time.Time{})
	if err != nil {
		if !strings.Contains(err.Error(), "never due") {
			t.Errorf("%s: %v", e, err)
		}
		return
	}
	want := e.due(location(t, zone), after, until)
	for way, got := range map[string][]time.Time{"forwards": s.all(after, until), "backwards": s.backwards(after, until)} {
		if !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Errorf("%s in %s from %s, %s:\n%v\nshould be\n%v", e, zone, after.UTC(), way, got, want)
		}
	}
	if n := s.Count(after, until); n != len(want) {
		t.Errorf("%s in %s from %s: counted %d of %d", e, zone, after.UTC(), n, len(want))
	}
}

// By hand, from the manual of Debian's cron.
func TestDaylightSaving(t *testing.T) {
	for name, c := range map[string]struct {
		zone, expression, after, until string
		due                            []string
	}{
		"skipped, at a fixed time":          {"Europe/Zurich", "30 2 * * *", "2025-03-29 12:00", "2025-03-31 12:00", []string{"2025-03-30T01:00Z", "2025-03-31T00:30Z"}},
		"skipped twice, at fixed times":     {"Europe/Zurich", "15,45 2 * * *", "2025-03-29 12:00", "2025-03-30 12:00", []string{"2025-03-30T01:00Z"}},
		"skipped, and due right after it":   {"Europe/Zurich", "0 2,3 * * *", "2025-03-29 12:00", "2025-03-30 12:00", []string{"2025-03-30T01:00Z"}},
		"repeated, at a fixed time":         {"Europe/Zurich", "30 2 * * *", "2025-10-25 12:00", "2025-10-26 12:00", []string{"2025-10-26T00:30Z"}},
		"skipped, half hours":               {"Europe/Zurich", "*/30 * * * *", "2025-03-30 01:00", "2025-03-30 03:30", []string{"2025-03-30T00:30Z", "2025-03-30T01:00Z", "2025-03-30T01:30Z"}},
		"repeated, hours":                   {"Europe/Zurich", "0 * * * *", "2025-10-26 01:30", "2025-10-26 03:00", []string{"2025-10-26T00:00Z", "2025-10-26T01:00Z", "2025-10-26T02:00Z"}},
		"midnight is skipped":               {"America/Santiago", "@daily", "2025-09-06 12:00", "2025-09-07 12:00", []string{"2025-09-07T04:00Z"}},
		"the hour before midnight repeated": {"America/Santiago", "30 23 * * *", "2025-04-05 12:00", "2025-04-06 12:00", []string{"2025-04-06T02:30Z"}},
		"half an hour is skipped":           {"Australia/Lord_Howe", "15 2 * * *", "2025-10-04 12:00", "2025-10-05 12:00", []string{"2025-10-04T15:30Z"}},
		"half an hour is repeated":          {"Australia/Lord_Howe", "45 1 * * *", "2025-04-05 12:00", "2025-04-06 12:00", []string{"2025-04-05T14:45Z"}},
		"a day that there wasn't":           {"Pacific/Apia", "@daily", "2011-12-28 12:00", "2011-12-31 12:00", []string{"2011-12-29T10:00Z", "2011-12-30T10:00Z"}},
		"three hours are skipped":           {"Antarctica/Casey", "30 1 * * *", "2021-10-02 12:00", "2021-10-03 12:00", nil},
		"three hours are repeated":          {"Antarctica/Casey", "30 22 * * *", "2022-03-12 00:00", "2022-03-13 12:00", []string{"2022-03-12T11:30Z"}},
		"no daylight saving, odd minutes":   {"Asia/Kathmandu", "0 2 * * *", "2025-06-01 00:00", "2025-06-01 12:00", []string{"2025-05-31T20:15Z"}},
	} {
		var got []string
		for _, at := range parsed(t, c.expression, c.zone).all(read(t, c.zone, c.after), read(t, c.zone, c.until)) {
			got = append(got, at.UTC().Format("2006-01-02T15:04Z"))
		}
		if !slices.Equal(got, c.due) {
			t.Errorf("%s: %v, should be %v", name, got, c.due)
		}
	}
}

func TestDaysOfMonthAndWeek(t *testing.T) {
	for expression, due := range map[string]string{
		"0 0 13 * 5":   "2025-06-06", // one of them is enough: the first Friday
		"0 0 */2 * 1":  "2025-06-09", // both, since one has a star: a Monday with an odd number
		"0 0 1 * */3":  "2025-10-01", // the first that is a Sunday, Wednesday or Saturday
		"0 0 29 2 *":   "2028-02-29",
		"0 0 29 2 */7": "2032-02-29", // a Sunday: farther than robfig/cron looks
		"0 0 * * sun":  "2025-06-08",
	} {
		got := parsed(t, expression, "").Next(time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)).Format(time.DateOnly)
		if got != due {
			t.Errorf("%s: %s, should be %s", expression, got, due)
		}
	}
}

// 7 is Sunday, as 0 is, and may end a range.
func TestSundayIsSevenToo(t *testing.T) {
	for weekdays, same := range map[string]string{
		"7": "0", "5-7": "5,6,0", "Fri-7": "5,6,0", "0-7": "0-6", "1-7/2": "1,3,5,0", "2-7/3": "2,5", "7-7": "0", "3,7": "3,0", "mon,5-7/2": "1,5,0",
	} {
		from := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
		got, want := parsed(t, "0 2 * * "+weekdays, ""), parsed(t, "0 2 * * "+same, "")
		if got, want := got.all(from, from.AddDate(0, 1, 0)), want.all(from, from.AddDate(0, 1, 0)); !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Errorf("%s: %v, should be %v", weekdays, got, want)
		}
	}
}

func TestAnyBlanksStandBetweenTheFields(t *testing.T) {
	at := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)
	if got, want := parsed(t, "\t0\t2  *\t* 1 ", "").Next(at), parsed(t, "0 2 * * 1", "").Next(at); !got.Equal(want) {
		t.Errorf("%s, should be %s", got, want)
	}
}

func TestEveryIsCountedFromItsAnchor(t *testing.T) {
	anchor := time.Date(2025, 6, 1, 0, 0, 7, 0, time.UTC)
	s, err := Parse("@every 90m", "Europe/Zurich", anchor)
	if err != nil {
		t.Fatal(err)
	}
	if due := s.Next(anchor.Add(-time.Hour)); !due.Equal(anchor.Add(90 * time.Minute)) {
		t.Errorf("the first is %s", due)
	}
	if due := s.Next(anchor.Add(90 * time.Minute)); !due.Equal(anchor.Add(180 * time.Minute)) {
		t.Errorf("the second is %s", due)
	}
	if _, found := s.Last(anchor.Add(-time.Hour), anchor.Add(time.Hour)); found {
		t.Error("due at its anchor")
	}
	if due, _ := s.Last(anchor, anchor.Add(24*time.Hour)); !due.Equal(anchor.Add(24 * time.Hour)) {
		t.Errorf("the last of a day is %s", due)
	}
	if n := s.Count(anchor.Add(time.Hour), anchor.Add(24*time.Hour)); n != 16 {
		t.Errorf("%d in a day", n)
	}
}

func TestWhatCannotBeMeant(t *testing.T) {
	for expression, says := range map[string]string{
		"":                    theFive,
		"* * * *":             "five fields, not 4",
		"0 0 2 * * *":         "write 0 2 * * *",
		"TZ=":                 "write that as timeZone",
		"CRON_TZ=Asia/Tokyo":  "write that as timeZone",
		"tz=UTC 0 2 * * *":    "write that as timeZone",
		"59 23 31 2 *":        "write one that they have, as in 59 23 28 2 *",
		"0 0 30,31 2 */7":     "write one that they have, as in 0 0 28 2 */7",
		"60 * * * *":          "can't be read",
		"0 0 * * 8":           "can't be read",
		"0 0 * * 7-3":         "can't be read",
		"0 0 * * 5-7/0":       "can't be read",
		"0 0 * * moon-7":      "can't be read",
		"5-3 * * * *":         "can't be read",
		"@sometimes":          "there is no @sometimes",
		"@every":              "is no duration",
		"@every 1":            "is no duration",
		"@every 59s":          "write @every 1m0s",
		"@every -1h":          "too often",
		"@every 1m0.5s":       "whole seconds",
		"@every 1h 0 2 * * *": "is no duration",
	} {
		if s, err := Parse(expression, "", time.Time{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, should say %q; %+v", expression, err, says, s)
		}
	}
	for _, zone := range []string{"Local", "Mars/Olympus", "../etc/passwd", "UTC+2"} {
		if _, err := Parse("@daily", zone, time.Time{}); err == nil || !strings.Contains(err.Error(), "Europe/Zurich") {
			t.Errorf("%q: %v", zone, err)
		}
	}
}

func TestShortestGap(t *testing.T) {
	for expression, gap := range map[string]time.Duration{
		"* * * * *": time.Minute, "*/15 * * * *": 15 * time.Minute, "*/25 * * * *": 10 * time.Minute, "0 0,23 * * *": time.Hour,
		"@daily": 24 * time.Hour, "0 0 1,31 * *": 24 * time.Hour, "@monthly": 28 * 24 * time.Hour, "@every 7m": 7 * time.Minute,
	} {
		if got := parsed(t, expression, "").ShortestGap(); got != gap {
			t.Errorf("%s: %s, should be %s", expression, got, gap)
		}
	}
}

func TestOfMissedRunsTheNewestIsRunFor(t *testing.T) {
	s := parsed(t, "@hourly", "")
	at := func(hour, minute int) time.Time { return time.Date(2025, 6, 1, hour, minute, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		dealtWith, now time.Time
		deadline       time.Duration
		want           Due
	}{
		"nothing is due":             {at(3, 0), at(3, 59), time.Hour, Due{Next: at(4, 0)}},
		"on time":                    {at(3, 0), at(4, 0), time.Hour, Due{At: at(4, 0), Newest: at(4, 0), Next: at(5, 0)}},
		"late":                       {at(3, 0), at(4, 20), time.Hour, Due{At: at(4, 0), Newest: at(4, 0), Next: at(5, 0)}},
		"too late":                   {at(3, 0), at(4, 20), 10 * time.Minute, Due{Newest: at(4, 0), Missed: 1, Next: at(5, 0)}},
		"several, the newest counts": {at(3, 0), at(9, 20), time.Hour, Due{At: at(9, 0), Newest: at(9, 0), Missed: 5, Next: at(10, 0)}},
		"several, all too late":      {at(3, 0), at(9, 20), 10 * time.Minute, Due{Newest: at(9, 0), Missed: 6, Next: at(10, 0)}},
		"without a deadline":         {at(3, 0), at(9, 20), 0, Due{At: at(9, 0), Newest: at(9, 0), Missed: 5, Next: at(10, 0)}},
		"the clock was put back":     {at(9, 0), at(3, 20), time.Hour, Due{Next: at(4, 0)}},
	} {
		if got := s.Since(c.dealtWith, c.now, c.deadline); got != c.want {
			t.Errorf("%s: %+v, should be %+v", name, got, c.want)
		}
	}
}

func TestOffsetsFillTheirWindow(t *testing.T) {
	const window, many = 15 * time.Minute, 9000
	seen := map[time.Duration]int{}
	for n := range many {
		offset := Offset(window, "shop", "nightly", fmt.Sprintf("Deployment/app-%d", n))
		if offset < 0 || offset >= window {
			t.Fatalf("%s isn't in the window", offset)
		}
		seen[offset.Truncate(time.Minute)]++
	}
	for minute := time.Duration(0); minute < window; minute += time.Minute {
		if n := seen[minute]; n < many/15*8/10 || n > many/15*12/10 {
			t.Errorf("%d of %d in minute %s", n, many, minute)
		}
	}
	if Offset(window, "a", "bc") == Offset(window, "ab", "c") {
		t.Error("names run into one another")
	}
	if got := Offset(0, "a"); got != 0 {
		t.Errorf("%s without a window", got)
	}
}

// FuzzParse: nothing that is written panics, and what is taken is due some time.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0 2 * * *", "TZ=", "CRON_TZ=UTC", "@every 1h", "*/2 * */2 * 1", "59 23 31 2 *", "0 0 29 2 */6", "? ? ? ? ?", "1-5/2,7 * * jan-mar mon"} {
		f.Add(seed, "Europe/Zurich")
	}
	anchor := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, expression, zone string) {
		s, err := Parse(expression, zone, anchor)
		if err != nil {
			return
		}
		next := s.Next(anchor)
		if !next.After(anchor) {
			t.Fatalf("%q: due at %s after %s", expression, next, anchor)
		}
		if last, found := s.Last(anchor, next); !found || !last.Equal(next) {
			t.Errorf("%q: next is %s, and last until then %s", expression, next, last)
		}
		if n := s.Count(anchor, next); n != 1 {
			t.Errorf("%q: %d until the next", expression, n)
		}
	})
}

// FuzzDue: of anything drawn, in any zone, as the reference has it.
func FuzzDue(f *testing.F) {
	f.Add(uint64(1), int64(1743296400), byte(1))
	f.Add(uint64(7), int64(1325239200), byte(5))
	f.Fuzz(func(t *testing.T, seed uint64, second int64, zone byte) {
		const from, to = 946684800, 2524608000 // 2000 to 2050
		at := time.Unix(from+int64(uint64(second)%(to-from)), 0).UTC()
		compare(t, aReference(rand.New(rand.NewPCG(seed, 0))), zones[int(zone)%len(zones)], at, at.Add(30*time.Hour))
	})
}

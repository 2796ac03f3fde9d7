package retention

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2025, 11, 26, 12, 0, 0, 0, time.UTC)

// at are backups at these moments, named by them. A ! after one says that it is
// proven, a + that it is held.
func at(t *testing.T, moments ...string) (backups []Backup) {
	t.Helper()
	for _, moment := range moments {
		name := strings.TrimRight(moment, "!+")
		when, err := time.Parse("2006-01-02 15:04", name)
		if err != nil {
			t.Fatal(err)
		}
		backups = append(backups, Backup{Name: name, At: when, IsProven: strings.Contains(moment, "!"), IsHeld: strings.Contains(moment, "+")})
	}
	return backups
}

func names(backups []Backup) (all []string) {
	for _, b := range backups {
		all = append(all, b.Name)
	}
	return all
}

func TestWhatIsKept(t *testing.T) {
	hourly := []string{"2025-11-26 11:00", "2025-11-26 10:30", "2025-11-26 10:00", "2025-11-25 23:00", "2025-11-25 22:00", "2025-11-23 02:00"}
	for name, c := range map[string]struct {
		rules   Rules
		backups []string
		kept    []string
	}{
		"no rules":                     {Rules{}, hourly, hourly},
		"the last":                     {Rules{Last: 2}, hourly, hourly[:2]},
		"all":                          {Rules{Last: Forever}, hourly, hourly},
		"hours":                        {Rules{Hourly: 2}, hourly, hourly[:2]},
		"days, of which there are few": {Rules{Daily: 7}, hourly, []string{hourly[0], hourly[3], hourly[5]}},
		"days, the oldest too":         {Rules{Daily: 3}, hourly[:5], []string{hourly[0], hourly[3], hourly[4]}},
		"rules side by side":           {Rules{Last: 1, Daily: 2}, hourly, []string{hourly[0], hourly[3]}},
		"weeks of the ISO":             {Rules{Weekly: 2}, []string{"2025-01-02 02:00", "2024-12-31 02:00", "2024-12-29 02:00", "2024-12-28 02:00"}, []string{"2025-01-02 02:00", "2024-12-29 02:00"}},
		"months and years":             {Rules{Monthly: 1, Yearly: 2}, []string{"2025-03-01 02:00", "2025-02-01 02:00", "2024-02-01 02:00", "2023-02-01 02:00"}, []string{"2025-03-01 02:00", "2024-02-01 02:00"}},
		"within a time":                {Rules{Within: Span{Hours: 1}}, hourly, hourly[:2]},
		"within a time, by days":       {Rules{WithinDaily: Span{Days: 1}}, hourly, []string{hourly[0], hourly[3]}},
		"within a time, the oldest":    {Rules{WithinDaily: Span{Days: 1}}, hourly[:5], []string{hourly[0], hourly[3], hourly[4]}},
		"a month before 31 March":      {Rules{Within: Span{Months: 1}}, []string{"2025-03-31 02:00", "2025-03-03 02:01", "2025-03-03 02:00"}, []string{"2025-03-31 02:00", "2025-03-03 02:01"}},
		"from the future":              {Rules{Within: Span{Hours: 1}}, append([]string{"2031-01-01 00:00"}, hourly...), append([]string{"2031-01-01 00:00"}, hourly[:2]...)},
		"the newest, whatever is said": {Rules{Last: -7}, hourly, hourly[:1]},
		"the newest proven one":        {Rules{Last: 1}, []string{"2025-11-26 11:00", "2025-11-25 11:00!", "2025-11-24 11:00!"}, []string{"2025-11-26 11:00", "2025-11-25 11:00"}},
		"what is held":                 {Rules{Last: 1}, []string{"2025-11-26 11:00", "2025-11-25 11:00", "2025-11-24 11:00+"}, []string{"2025-11-26 11:00", "2025-11-24 11:00"}},
		"none":                         {Rules{Last: 1}, nil, nil},
	} {
		backups := at(t, c.backups...)
		rand.Shuffle(len(backups), func(i, j int) { backups[i], backups[j] = backups[j], backups[i] })
		kept, surplus := c.rules.Split(backups, time.UTC, now)
		if !slices.Equal(names(kept), c.kept) {
			t.Errorf("%s: kept %v, should keep %v", name, names(kept), c.kept)
		}
		if len(kept)+len(surplus) != len(backups) {
			t.Errorf("%s: %d and %d of %d", name, len(kept), len(surplus), len(backups))
		}
	}
}

// A day is the policy's, wherever the manager runs.
func TestBucketsAreThoseOfTheZone(t *testing.T) {
	zone, err := time.LoadLocation("Asia/Kathmandu") // 5:45 ahead
	if err != nil {
		t.Fatal(err)
	}
	backups := at(t, "2025-11-25 19:00", "2025-11-25 18:00", "2025-11-25 17:00")
	kept, _ := Rules{Daily: 2}.Split(backups, zone, now)
	if want := []string{"2025-11-25 19:00", "2025-11-25 18:00"}; !slices.Equal(names(kept), want) {
		t.Errorf("kept %v, should keep %v", names(kept), want)
	}
}

// A day that a clock is put forward in has 23 hours.
func TestDaysAreCountedBackInTheZone(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	backups := at(t, "2025-03-30 10:00", "2025-03-29 11:30", "2025-03-29 10:30")
	for span, want := range map[Span]int{{Days: 1}: 2, {Hours: 24}: 3} {
		if kept, _ := (Rules{Within: span}).Split(backups, zone, now); len(kept) != want {
			t.Errorf("%+v keeps %v", span, names(kept))
		}
	}
}

func TestRulesThatKeepNothing(t *testing.T) {
	for rules, nothing := range map[Rules]bool{
		{}: false, {Last: 1}: false, {Daily: Forever}: false, {WithinYearly: Span{Hours: 1}}: false, {Last: -2}: true, {Last: -2, Weekly: 1}: false,
	} {
		if got := rules.KeepsNothing(); got != nothing {
			t.Errorf("%+v: %t", rules, got)
		}
	}
}

// A slow way to say the same of one rule: which buckets there are since then, and
// which backup is the newest of each.
func slowlyKept(sorted []Backup, count int, since time.Time, bucket func(time.Time) string) map[string]bool {
	var buckets []string
	newestOf, kept := map[string]string{}, map[string]bool{}
	for _, b := range sorted {
		k := bucket(b.At)
		if _, known := newestOf[k]; !known && b.At.After(since) {
			buckets = append(buckets, k)
			newestOf[k] = b.Name
		}
	}
	for i, k := range buckets {
		if i < count || count == Forever {
			kept[newestOf[k]] = true
		}
	}
	if len(sorted) > 0 && (len(kept) < count || count == Forever) {
		if oldest := sorted[len(sorted)-1]; oldest.At.After(since) {
			kept[oldest.Name] = true
		}
	}
	return kept
}

// slowlySince counts back hour by hour and day by day, from the newest that isn't
// in the future.
func slowlySince(sorted []Backup, span Span) time.Time {
	i := slices.IndexFunc(sorted, func(b Backup) bool { return b.At.Before(now) })
	if i < 0 {
		return time.Time{}
	}
	at := sorted[i].At
	at = time.Date(at.Year()-span.Years, at.Month()-time.Month(span.Months), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), at.Location())
	for range span.Days {
		at = at.Add(-24 * time.Hour) // in UTC
	}
	for range span.Hours {
		at = at.Add(-time.Hour)
	}
	return at
}

func FuzzRules(f *testing.F) {
	f.Add(uint64(1), 3, 0, 2, 1, -1, 1, uint16(0), uint16(0))
	f.Add(uint64(9), -1, 5, 7, 4, 12, 3, uint16(0), uint16(0))
	f.Add(uint64(5), 0, 0, 0, 0, 0, 0, uint16(0x1234), uint16(0x4321))
	f.Add(uint64(6), 0, 0, 1, 0, 0, 0, uint16(0x0200), uint16(0x9003))
	f.Fuzz(func(t *testing.T, seed uint64, last, hourly, daily, weekly, monthly, yearly int, one, other uint16) {
		rules := Rules{Last: last, Hourly: hourly, Daily: daily, Weekly: weekly, Monthly: monthly, Yearly: yearly}
		// Each of the spans is one of two, of small numbers.
		rules.Within, rules.WithinDaily, rules.WithinMonthly = spanOf(one), spanOf(one), spanOf(one)
		rules.WithinHourly, rules.WithinWeekly, rules.WithinYearly = spanOf(other), spanOf(other), spanOf(other)
		r := rand.New(rand.NewPCG(seed, 0))
		var backups []Backup
		for n := range r.IntN(60) {
			backups = append(backups, Backup{Name: fmt.Sprint(n), At: now.Add(48*time.Hour - time.Duration(r.Int64N(int64(1+r.IntN(900))*int64(24*time.Hour))))})
		}
		slices.SortStableFunc(backups, func(a, b Backup) int { return b.At.Compare(a.At) })
		want := map[string]bool{}
		for _, c := range []struct {
			count  int
			within Span
			bucket func(time.Time) string
		}{
			{last, rules.Within, func(at time.Time) string { return fmt.Sprint(at.UnixNano()) }},
			{hourly, rules.WithinHourly, func(at time.Time) string { return at.Format("2006-01-02 15") }},
			{daily, rules.WithinDaily, func(at time.Time) string { return at.Format(time.DateOnly) }},
			{weekly, rules.WithinWeekly, func(at time.Time) string { year, week := at.ISOWeek(); return fmt.Sprint(year, "W", week) }},
			{monthly, rules.WithinMonthly, func(at time.Time) string { return at.Format("2006-01") }},
			{yearly, rules.WithinYearly, func(at time.Time) string { return at.Format("2006") }},
		} {
			if c.count >= Forever {
				maps.Copy(want, slowlyKept(backups, c.count, time.Time{}, c.bucket))
			}
			if !c.within.IsZero() {
				maps.Copy(want, slowlyKept(backups, Forever, slowlySince(backups, c.within), c.bucket))
			}
		}
		kept, _ := rules.Split(backups, time.UTC, now)
		for _, b := range kept {
			if !want[b.Name] && b.Name != backups[0].Name && rules != (Rules{}) {
				t.Errorf("%+v keeps %s of %v", rules, b.At, backups)
			}
			delete(want, b.Name)
		}
		if len(want) > 0 {
			t.Errorf("%+v doesn't keep %v", rules, want)
		}
	})
}

// spanOf makes one of the four digits of a number.
func spanOf(digits uint16) Span {
	return Span{Years: int(digits >> 12), Months: int(digits >> 8 & 15), Days: int(digits >> 4 & 15), Hours: int(digits & 15)}
}

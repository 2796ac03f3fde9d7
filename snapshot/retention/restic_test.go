//go:build real

package retention

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// restic itself, on random histories, with random rules.
func TestWhatIsKeptIsWhatResticKeeps(t *testing.T) {
	const histories, policies = 100, 3
	rounds, seed := number(t, "ROUNDS", 1), uint64(number(t, "SEED", int(time.Now().Unix())))
	t.Logf("ROUNDS=%d SEED=%d", rounds, seed)
	repository := aRepository(t)
	for i, name := range []string{"Europe/Zurich", "America/Santiago", "Australia/Lord_Howe", "Asia/Kathmandu"} {
		t.Run(name, func(t *testing.T) {
			zone, err := time.LoadLocation(name)
			if err != nil {
				t.Fatal(err)
			}
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for range rounds {
				// With backups near their starts; half a year of days always goes over a
				// change of the clock, where there are changes.
				spans := []Span{aSpan(r), {Days: 180}}
				histories := repository.fill(histories, func() []time.Time { return someMoments(r, zone, spans) })
				compareWithRestic(t, repository, histories, Rules{Within: spans[0]}, zone)
				compareWithRestic(t, repository, histories, Rules{Within: spans[1]}, zone)
				for range policies {
					compareWithRestic(t, repository, histories, someRules(r, spans), zone)
				}
			}
		})
	}
}

func compareWithRestic(t *testing.T, repository repository, histories map[string][]Backup, rules Rules, zone *time.Location) {
	t.Helper()
	answers := repository.forget(zone, rules)
	if len(answers) != len(histories) {
		t.Fatalf("restic has %d histories, of %d", len(answers), len(histories))
	}
	for host, history := range histories {
		for i, keeps := range rules.keeps(history, zone, time.Now()) {
			if b := history[i]; keeps != answers[host][b.Name] {
				t.Errorf("%s: %s of %s is kept: %t, by restic: %t", resticsFlags(rules), b.At.In(zone), moments(history, zone), keeps, answers[host][b.Name])
				break
			}
		}
	}
}

func moments(history []Backup, zone *time.Location) (all []string) {
	for _, b := range history {
		all = append(all, b.At.In(zone).Format(time.DateTime))
	}
	return all
}

// someMoments are those of a history: many in a day or few in years, at any second
// or at the same of each hour, some of them where a span begins, some in the future.
func someMoments(r *rand.Rand, zone *time.Location, spans []Span) []time.Time {
	const longest = 5 * 365 * 24 * time.Hour
	within := time.Hour + time.Duration(r.Int64N(int64(longest)>>r.IntN(12)))
	newest := time.Now().Add(-time.Hour - time.Duration(r.Int64N(int64(longest)))).In(zone).Truncate(time.Second)
	grid := []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour}[r.IntN(4)]
	all := map[time.Time]bool{newest: true}
	for range r.IntN(30) {
		all[newest.Add(-time.Duration(r.Int64N(int64(within))).Truncate(grid))] = true
	}
	for range r.IntN(12) {
		all[anySpan(r, spans).Before(newest).Add([]time.Duration{0, time.Second, time.Hour, -30 * time.Minute}[r.IntN(4)])] = true
	}
	for range max(0, r.IntN(8)-5) {
		all[time.Now().Add(time.Hour+time.Duration(r.Int64N(int64(longest)))).In(zone).Truncate(time.Second)] = true
	}
	return slices.DeleteFunc(slices.Collect(maps.Keys(all)), func(at time.Time) bool { return at.After(newest) && at.Before(time.Now()) })
}

// aSpan is one that people would write, or any.
func aSpan(r *rand.Rand) Span {
	usual := []Span{{Hours: 24}, {Hours: 48}, {Days: 1}, {Days: 7}, {Days: 30}, {Days: 180}, {Months: 1}, {Months: 6}, {Years: 1}, {Years: 1, Months: 6, Days: 7, Hours: 48}}
	if i := r.IntN(len(usual) + 3); i < len(usual) {
		return usual[i]
	}
	return Span{Years: r.IntN(3), Months: r.IntN(14), Days: r.IntN(40), Hours: r.IntN(100)}
}

// anySpan is often one of these, else another.
func anySpan(r *rand.Rand, often []Span) Span {
	if i := r.IntN(len(often) + 1); i < len(often) {
		return often[i]
	}
	return aSpan(r)
}

func someRules(r *rand.Rand, often []Span) (rules Rules) {
	for rules == (Rules{}) {
		for _, count := range []*int{&rules.Last, &rules.Hourly, &rules.Daily, &rules.Weekly, &rules.Monthly, &rules.Yearly} {
			if r.IntN(4) == 0 {
				*count = []int{1 + r.IntN(3), 1 + r.IntN(12), 1 + r.IntN(400), Forever}[r.IntN(4)]
			}
		}
		for _, span := range []*Span{&rules.Within, &rules.WithinHourly, &rules.WithinDaily, &rules.WithinWeekly, &rules.WithinMonthly, &rules.WithinYearly} {
			if r.IntN(4) == 0 {
				*span = anySpan(r, often)
			}
		}
	}
	return rules
}

func resticsFlags(rules Rules) (flags []string) {
	for flag, count := range map[string]int{"last": rules.Last, "hourly": rules.Hourly, "daily": rules.Daily, "weekly": rules.Weekly, "monthly": rules.Monthly, "yearly": rules.Yearly} {
		if count != 0 {
			flags = append(flags, fmt.Sprintf("--keep-%s=%s", flag, strings.Replace(strconv.Itoa(count), "-1", "unlimited", 1)))
		}
	}
	for flag, span := range map[string]Span{
		"": rules.Within, "-hourly": rules.WithinHourly, "-daily": rules.WithinDaily, "-weekly": rules.WithinWeekly, "-monthly": rules.WithinMonthly, "-yearly": rules.WithinYearly,
	} {
		if !span.IsZero() {
			flags = append(flags, fmt.Sprintf("--keep-within%s=%dy%dm%dd%dh", flag, span.Years, span.Months, span.Days, span.Hours))
		}
	}
	slices.Sort(flags)
	return flags
}

// forget tells of each history, by its host, which snapshots restic would keep.
func (r repository) forget(zone *time.Location, rules Rules) map[string]map[string]bool {
	r.t.Helper()
	var groups []struct {
		Host string
		Keep []struct{ ID string }
	}
	text := r.restic(zone, append([]string{"forget", "--dry-run", "--no-lock", "--json", "--group-by=host"}, resticsFlags(rules)...)...)
	if err := json.Unmarshal(text, &groups); err != nil {
		r.t.Fatalf("%v: %s", err, text)
	}
	kept := map[string]map[string]bool{}
	for _, group := range groups {
		kept[group.Host] = map[string]bool{}
		for _, snapshot := range group.Keep {
			kept[group.Host][snapshot.ID] = true
		}
	}
	return kept
}

// restic runs restic where the time is that of a zone.
func (r repository) restic(zone *time.Location, args ...string) []byte {
	r.t.Helper()
	path := os.Getenv("RESTIC")
	if path == "" {
		r.t.Fatal("RESTIC isn't the path of restic: run make test-real")
	}
	cmd := exec.Command(path, append([]string{"--repo=" + r.path, "--no-cache", "--insecure-no-password"}, args...)...)
	cmd.Env = append(os.Environ(), "TZ="+zone.String(), "RESTIC_PASSWORD=", "RESTIC_PASSWORD_FILE=", "RESTIC_PASSWORD_COMMAND=")
	cmd.Stderr = r.said
	output, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", cmd, err, r.said)
	}
	return output
}

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(variable), strconv.Itoa(otherwise)))
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

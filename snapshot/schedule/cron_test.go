//go:build real

package schedule

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Debian's cron itself, with a clock that the test moves, through the days around
// every change of each zone's clock.
func TestDueAsDebiansCronHasIt(t *testing.T) {
	rounds, seed := number(t, "ROUNDS", 1), uint64(number(t, "SEED", int(time.Now().Unix())))
	t.Logf("ROUNDS=%d SEED=%d", rounds, seed)
	clock := aClock(t)
	for i, name := range zones {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for _, change := range someChanges(location(t, name), rounds) {
				after, until := change.Add(-26*time.Hour), change.Add(26*time.Hour)
				expressions := append(around(change.In(location(t, name))), random(r, 20*rounds, name, after, until)...)
				compareWithCron(t, clock, expressions, name, after, until)
			}
		})
	}
}

// someChanges are the last of a zone's changes, more of them each round, and a
// moment without one.
func someChanges(zone *time.Location, rounds int) []time.Time {
	all := changes(zone, time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	return append(all[max(0, len(all)-4*rounds):], time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC))
}

// around are expressions that something can go wrong with where a clock is
// changed then.
func around(change time.Time) (expressions []string) {
	for _, hours := range []int{-2, -1, 0, 1} {
		hour := change.Add(time.Duration(hours) * time.Hour).Hour()
		for _, format := range []string{"0 %d * * *", "30 %d * * *", "15,45 %d * * *", "*/15 %d * * *", "0-59 %d * * *", "* %d * * *"} {
			expressions = append(expressions, fmt.Sprintf(format, hour))
		}
	}
	return append(expressions, "59 */1 * * *", "59 */2 * * *", "59 */3 * * *",
		"*/15 * * * *", "*/7 * * * *", "0 0 * * *", "0 * * * *", "30 0-23 * * *", "0,30 0-23/2 * * *",
		"0 2 * * 7", "0 3 * * 5-7", "0 4 * * fri-7", "0 5 1 * 1-7/2", "0\t6\t*\t*\t0-7",
		"@hourly", "@daily", "@weekly", "@monthly", "@yearly",
		fmt.Sprintf("30 2 * * %d", change.Weekday()), fmt.Sprintf("30 2 %d * 1", change.Day()), fmt.Sprintf("30 */2 */2 * %d", change.Weekday()))
}

// random are expressions of which most are due on any day, and none so often that
// the others would wait for it.
func random(r *rand.Rand, count int, zone string, after, until time.Time) (expressions []string) {
	const often = 500
	for len(expressions) < count {
		e := anOftenDueReference(r)
		s, err := Parse(e.String(), zone, time.Time{})
		if err == nil && s.Count(after, until) < often {
			expressions = append(expressions, e.String())
		}
	}
	return expressions
}

func compareWithCron(t *testing.T, clock string, expressions []string, zone string, after, until time.Time) {
	t.Helper()
	starts := runCron(t, clock, expressions, zone, after, until)
	for i, expression := range expressions {
		s, err := Parse(expression, zone, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		due := s.all(after, until)
		if !slices.EqualFunc(due, starts[i], time.Time.Equal) {
			t.Errorf("%s in %s: due, and not started by cron: %v; started, and not due: %v", expression, zone, without(due, starts[i]), without(starts[i], due))
		}
	}
}

func without(moments, others []time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(moments), func(at time.Time) bool { return slices.ContainsFunc(others, at.Equal) })
}

// aClock is the library that cron's clock is from.
func aClock(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "clock.so")
	run(t, exec.Command("cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", path, "testdata/clock.c"))
	return path
}

// inItsOwnWorld runs cron where it sees no crontab of this machine's, and leaves
// nothing.
const inItsOwnWorld = `
mount --bind "$1/etc" /etc
mount --bind "$1/spool" /var/spool
mount --bind "$1/run" /run
LD_PRELOAD="$2" exec "$3" -f`

var jobStart = regexp.MustCompile(`^(\d+) start (\d+)$`)

// runCron returns the minutes in which cron started each of the expressions, once
// each: a job that it makes up for several times is due once.
func runCron(t *testing.T, clock string, expressions []string, zone string, after, until time.Time) map[int][]time.Time {
	t.Helper()
	world := t.TempDir()
	var crontab, passwd strings.Builder
	for i, expression := range expressions {
		fmt.Fprintf(&crontab, "%s %d true\n", expression, i)
		fmt.Fprintf(&passwd, "%d:x:1:1::/:/bin/sh\n", i)
	}
	for path, text := range map[string]string{
		"etc/crontab": crontab.String(), "etc/passwd": passwd.String(),
		"etc/cron.d/.placeholder": "", "spool/cron/crontabs/.placeholder": "", "run/.placeholder": "",
	} {
		write(t, filepath.Join(world, path), text)
	}
	unshare := []string{"--mount", "--propagation", "slave"}
	if os.Geteuid() != 0 {
		unshare = append(unshare, "--map-root-user")
	}
	log := filepath.Join(world, "log")
	cmd := exec.Command("unshare", append(unshare, "sh", "-ec", inItsOwnWorld, "sh", world, clock, theCron(t))...)
	cmd.Env = append(os.Environ(), "TZ="+zone, "LOG="+log, fmt.Sprintf("FROM=%d", after.Unix()), fmt.Sprintf("UNTIL=%d", until.Unix()+59))
	run(t, cmd)
	return startsIn(t, log)
}

func startsIn(t *testing.T, log string) map[int][]time.Time {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	starts := map[int][]time.Time{}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "(CRON) INFO ") {
			continue
		}
		said := jobStart.FindStringSubmatch(strings.TrimSpace(line))
		if said == nil {
			t.Fatalf("cron says %s", line)
		}
		second, _ := strconv.ParseInt(said[1], 10, 64)
		job, _ := strconv.Atoi(said[2])
		minute := time.Unix(second, 0).UTC().Truncate(time.Minute)
		if !slices.Contains(starts[job], minute) {
			starts[job] = append(starts[job], minute)
		}
	}
	return starts
}

func theCron(t *testing.T) string {
	t.Helper()
	path := os.Getenv("CRON")
	if path == "" {
		t.Fatal("CRON isn't the path of Debian's cron: run make test-real")
	}
	return path
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, output)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(variable), strconv.Itoa(otherwise)))
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

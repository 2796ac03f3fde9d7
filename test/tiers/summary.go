package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	// tierWidth is as wide as the longest name of a tier.
	tierWidth = 12
	// howMany of the slowest tests are told.
	howMany = 10
	// nameWidth is how much of a test's name is told.
	nameWidth = 120
)

// summarize prints what failed, where the time went, and as the last line how
// many tests passed and failed. It is true where all went well.
func summarize(w io.Writer, outcomes []outcome, took time.Duration) (good bool) {
	good = true
	var all outcome
	for _, o := range outcomes {
		for _, failure := range o.failures {
			fmt.Fprintf(w, "\nFAILED %s\n", failure)
		}
		all.tests = append(all.tests, o.tests...)
		all.passed, all.failed, all.skipped = all.passed+o.passed, all.failed+o.failed, all.skipped+o.skipped
	}
	fmt.Fprintln(w, "\nThe slowest tests:")
	for _, t := range slowest(all.tests) {
		fmt.Fprintf(w, "%-*s %6s  %s\n", tierWidth, t.tier, round(t.took), shortened(t.name))
	}
	fmt.Fprintln(w, "\nThe tiers, some of them side by side:")
	for _, o := range outcomes {
		if !o.good() {
			good = false
			all.failed = max(all.failed, 1)
		}
		fmt.Fprintf(w, "%-*s %6s  %4d passed, %d failed  %s\n", tierWidth, o.tier, round(o.took), o.passed, o.failed, o.verdict())
	}
	fmt.Fprintf(w, "%-*s %6s\n", tierWidth, "all", round(took))
	fmt.Fprintf(w, "%d passed, %d failed", all.passed, all.failed)
	if all.skipped > 0 {
		fmt.Fprintf(w, ", %d skipped", all.skipped)
	}
	fmt.Fprintln(w)
	return good
}

func (o outcome) good() bool { return o.err == nil && o.failed == 0 }

func (o outcome) verdict() string {
	switch {
	case o.good():
		return "passed"
	case o.err != nil:
		return "FAILED (" + strings.ReplaceAll(o.err.Error(), "\n", "; ") + ")"
	}
	return "FAILED"
}

func slowest(tests []test) []test {
	sorted := slices.SortedStableFunc(slices.Values(tests), func(a, b test) int { return cmp.Compare(b.took, a.took) })
	return sorted[:min(howMany, len(sorted))]
}

func round(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

func shortened(name string) string {
	runes := []rune(name)
	if len(runes) <= nameWidth {
		return name
	}
	return string(runes[:nameWidth-1]) + "…"
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// The targets: how much longer than a bare snapshot an application with one
// volume may be frozen, and how many times longer one with many.
const (
	maxOverhead = 300 * time.Millisecond
	maxSpread   = 1.5
)

// figures are all measurements with n volumes.
type figures struct {
	n       int
	bare    []time.Duration
	freezes []freeze
}

func (f figures) part(of func(freeze) time.Duration) []time.Duration {
	var all []time.Duration
	for _, one := range f.freezes {
		all = append(all, of(one))
	}
	return all
}

func (f figures) frozen() []time.Duration {
	return f.part(func(z freeze) time.Duration { return z.frozen })
}

// quantile is the smallest value that at least that share is not above.
func quantile(q float64, values []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func median(values []time.Duration) time.Duration { return quantile(.5, values) }

func printFreezes(out io.Writer, storage string, all []figures, rounds int) {
	fmt.Fprintf(out, "\nHow long an application is frozen, beside a bare snapshot of the same volumes, in ms; %s, %d rounds\n\n", storage, rounds)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "volumes\tbare\tp99\tfrozen\tp99\tfrozen - bare\tof it: cut\trelease\tbefore: hold\t")
	for _, f := range all {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", f.n,
			ms(median(f.bare)), ms(quantile(.99, f.bare)), ms(median(f.frozen())), ms(quantile(.99, f.frozen())),
			ms(median(f.frozen())-median(f.bare)),
			ms(median(f.part(func(z freeze) time.Duration { return z.cut }))),
			ms(median(f.part(func(z freeze) time.Duration { return z.release }))),
			ms(median(f.part(func(z freeze) time.Duration { return z.hold }))))
	}
	w.Flush()
	one, many := all[0], all[len(all)-1]
	overhead := median(one.frozen()) - median(one.bare)
	spread := median(many.frozen()).Seconds() / median(one.frozen()).Seconds()
	bareSpread := median(many.bare).Seconds() / median(one.bare).Seconds()
	fmt.Fprintf(out, "\n%s  %d volume frozen for %s ms longer than a bare snapshot (target: at most %s)\n", met(overhead <= maxOverhead), one.n, ms(overhead), ms(maxOverhead))
	fmt.Fprintf(out, "%s  %d volumes frozen %.2f times as long as %d (target: at most %.1f); their bare snapshots take %.2f times as long\n",
		met(spread <= maxSpread), many.n, spread, one.n, maxSpread, bareSpread)
}

func met(ok bool) string {
	if ok {
		return "met   "
	}
	return "MISSED"
}

func ms(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// line is one figure for programs. Times are in seconds.
type line struct {
	Name        string  `json:"name"`
	N           int     `json:"n,omitempty"`
	Unit        string  `json:"unit"`
	Value       float64 `json:"value"`
	Baseline    float64 `json:"baseline,omitempty"`
	Ratio       float64 `json:"ratio,omitempty"`
	P99         float64 `json:"p99,omitempty"`
	BaselineP99 float64 `json:"baseline_p99,omitempty"`
	Rounds      int     `json:"rounds,omitempty"`
	Strategy    string  `json:"strategy,omitempty"`
}

func freezeLines(name string, all []figures, rounds int) []line {
	var lines []line
	for _, f := range all {
		value, baseline := median(f.frozen()).Seconds(), median(f.bare).Seconds()
		lines = append(lines, line{
			Name: name, N: f.n, Unit: "s", Value: value, Baseline: baseline, Ratio: value / baseline,
			P99: quantile(.99, f.frozen()).Seconds(), BaselineP99: quantile(.99, f.bare).Seconds(), Rounds: rounds,
		})
	}
	return lines
}

// writeJSON writes a line a figure. Without a path it writes nothing.
func writeJSON(path string, lines []line) (err error) {
	if path == "" {
		return nil
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	encoder := json.NewEncoder(file)
	for _, l := range lines {
		if err := encoder.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// The targets: how many times as long as bare restic an export and a restore may
// take, and what share of the first export one may take where nothing has changed.
// A mover may have the memory that it requests.
const (
	maxMoverRatio     = 1.05
	maxUnchangedRatio = 0.1
)

// exportFigures are all measurements of one volume.
type exportFigures struct {
	exportedVolume
	bare, exports, bareUnchanged, unchanged, bareRestores, restores jobRuns
}

// jobRuns are those of one kind.
type jobRuns []jobRun

// take keeps one, unless there is an error.
func (r *jobRuns) take(ran jobRun, err error) error {
	if err == nil {
		*r = append(*r, ran)
	}
	return err
}

// median is in seconds.
func (r jobRuns) median() float64 {
	var each []time.Duration
	for _, one := range r {
		each = append(each, one.took)
	}
	return median(each).Seconds()
}

// peak is the most memory that any of them had, in MiB.
func (r jobRuns) peak() float64 {
	return slices.MaxFunc(r, func(a, b jobRun) int { return cmp.Compare(a.memory, b.memory) }).memory
}

// requestedMemory is what a mover requests, in MiB.
func requestedMemory() float64 {
	memory := resticexport.Resources(&v1alpha1.MoverSpec{}).Requests[corev1.ResourceMemory]
	return memory.AsApproximateFloat64() / (1 << 20)
}

func printExports(out io.Writer, all []*exportFigures, rounds int) {
	fmt.Fprintf(out, "\nHow long the mover of a volume takes, beside bare restic on a clone of the same snapshot, in s; and its anonymous memory; %d rounds\n\n", rounds)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "volume\texport: bare\tmover\tratio\tunchanged: bare\tmover\trestore: bare\tmover\tratio\tMiB: bare\tmover\t")
	for _, f := range all {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.2f\t%.1f\t%.1f\t%.1f\t%.1f\t%.2f\t%.0f\t%.0f\t\n", f.title,
			f.bare.median(), f.exports.median(), f.exports.median()/f.bare.median(),
			f.bareUnchanged.median(), f.unchanged.median(),
			f.bareRestores.median(), f.restores.median(), f.restores.median()/f.bareRestores.median(),
			f.bare.peak(), f.exports.peak())
	}
	w.Flush()
	fmt.Fprintln(out)
	for _, f := range all {
		f.judge(out)
	}
}

func (f *exportFigures) judge(out io.Writer) {
	export := f.exports.median() / f.bare.median()
	unchanged := f.unchanged.median() / f.exports.median()
	restore := f.restores.median() / f.bareRestores.median()
	memory, request := f.exports.peak(), requestedMemory()
	fmt.Fprintf(out, "%s  %s: the export takes %.2f times as long as bare restic (target: at most %.2f)\n", met(export <= maxMoverRatio), f.title, export, maxMoverRatio)
	fmt.Fprintf(out, "%s  %s: where nothing has changed, %.3f of that (target: less than %.1f; bare restic: %.3f of its own)\n",
		met(unchanged < maxUnchangedRatio), f.title, unchanged, maxUnchangedRatio, f.bareUnchanged.median()/f.bare.median())
	fmt.Fprintf(out, "%s  %s: the restore takes %.2f times as long as bare restic (target: at most %.2f)\n", met(restore <= maxMoverRatio), f.title, restore, maxMoverRatio)
	fmt.Fprintf(out, "%s  %s: the mover has %.0f MiB at most (target: at most the %.0f that it requests)\n", met(memory <= request), f.title, memory, request)
}

func exportLines(all []*exportFigures, rounds int) (lines []line) {
	for _, f := range all {
		for _, figure := range []line{
			{Name: "export", Unit: "s", Value: f.exports.median(), Baseline: f.bare.median()},
			{Name: "export-unchanged", Unit: "s", Value: f.unchanged.median(), Baseline: f.exports.median()},
			{Name: "export-unchanged-bare", Unit: "s", Value: f.bareUnchanged.median(), Baseline: f.bare.median()},
			{Name: "export-restore", Unit: "s", Value: f.restores.median(), Baseline: f.bareRestores.median()},
			{Name: "export-memory", Unit: "MiB", Value: f.exports.peak(), Baseline: requestedMemory()},
		} {
			figure.N, figure.Rounds, figure.Ratio = f.n, rounds, figure.Value/figure.Baseline
			lines = append(lines, figure)
		}
	}
	return lines
}

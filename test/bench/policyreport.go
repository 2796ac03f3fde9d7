package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// The targets: how many times as long as bare objects the backups may take that
// are due at once, how late each may be for its own moment, what the manager may
// have resident, in MiB, how often policies may write for a backup, and how soon
// a manager that starts makes the first backup.
const (
	maxSkewRatio    = 1.2
	maxJitteredSkew = time.Second
	maxPolicyMemory = 300
	maxPolicyWrites = 2
	maxPolicyStart  = 20 * time.Second
)

// scaleStep is what was measured with so many policies.
type scaleStep struct {
	policies, ended int
	// baseline is from the first to the last of as many bare objects, and skew
	// from when all were due to the last of their backups.
	baseline, skew time.Duration
	// rest is the manager's memory before they were due, and peak the most until
	// the last backup was created, in MiB.
	rest, peak float64
}

func (s scaleStep) ratio() float64 { return s.skew.Seconds() / s.baseline.Seconds() }

// scaleFigures are all that was measured.
type scaleFigures struct {
	steps []scaleStep
	// The others are with all policies. drain is from when they were due until the
	// last backup has ended.
	drain time.Duration
	// writes are those from before they were due until the manager was at rest
	// again, and atRest those of a manager that had nothing to do.
	writes, atRest writes
	// start is from the start of a manager to its first backup.
	start time.Duration
	// jittered is how late each backup was for its own moment.
	jittered []time.Duration
	// peak is the most that a manager ever had resident, in MiB.
	peak float64
}

func (f *scaleFigures) full() scaleStep { return f.steps[len(f.steps)-1] }

// perBackup is how often policies wrote for a backup.
func (f *scaleFigures) perBackup() float64 {
	return f.writes.only(isOfPolicies).sum() / float64(f.full().policies)
}

func (f *scaleFigures) print(out io.Writer) {
	fmt.Fprint(out, "\nPolicies of one application each, all due at once, beside as many bare objects; an API server and etcd without nodes, the storage is played\n\n")
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "policies\tended backups\tbare objects, s\tlast backup, s\tratio\tMiB at rest\tMiB at most\t")
	for _, s := range f.steps {
		fmt.Fprintf(w, "%d\t%d\t%.1f\t%.1f\t%.2f\t%.0f\t%.0f\t\n", s.policies, s.ended, s.baseline.Seconds(), s.skew.Seconds(), s.ratio(), s.rest, s.peak)
	}
	w.Flush()
	full, late := f.full(), quantile(.99, f.jittered)
	fmt.Fprintf(out, "\n%s  the last of %d backups is created %.1f s after all were due, %.2f times as long as bare objects take (target: at most %.1f)\n",
		met(full.ratio() <= maxSkewRatio), full.policies, full.skew.Seconds(), full.ratio(), maxSkewRatio)
	fmt.Fprintf(out, "%s  with jitter: %s a backup is %s ms late for its own moment, 99 of 100 at most %s ms (target: at most %s ms)\n",
		met(late <= maxJitteredSkew), jitterWindow, ms(median(f.jittered)), ms(late), ms(maxJitteredSkew))
	fmt.Fprintf(out, "%s  the manager has %.0f MiB resident at rest, %.0f at most (target: at most %d)\n", met(f.peak <= maxPolicyMemory), full.rest, f.peak, maxPolicyMemory)
	fmt.Fprintf(out, "%s  the policies write %.2f times a backup (target: at most %d): %s\n", met(f.perBackup() <= maxPolicyWrites), f.perBackup(), maxPolicyWrites, f.writes.only(isOfPolicies))
	fmt.Fprintf(out, "%s  at rest nothing is written (target: nothing): %s\n", met(len(f.atRest) == 0), f.atRest)
	fmt.Fprintf(out, "%s  a manager that starts makes the first backup after %.1f s (target: at most %.0f)\n", met(f.start <= maxPolicyStart), f.start.Seconds(), maxPolicyStart.Seconds())
	fmt.Fprintf(out, "        all %d backups have ended %.0f s after they were due\n", full.policies, f.drain.Seconds())
}

func (f *scaleFigures) lines() (all []line) {
	for _, s := range f.steps {
		all = append(all,
			line{Name: "policy-skew", N: s.policies, Unit: "s", Value: s.skew.Seconds(), Baseline: s.baseline.Seconds(), Ratio: s.ratio()},
			line{Name: "policy-memory-rest", N: s.policies, Unit: "MiB", Value: s.rest},
			line{Name: "policy-memory-burst", N: s.policies, Unit: "MiB", Value: s.peak})
	}
	n := f.full().policies
	return append(all,
		line{Name: "policy-memory", N: n, Unit: "MiB", Value: f.peak},
		line{Name: "policy-skew-jitter", N: n, Unit: "s", Value: median(f.jittered).Seconds(), P99: quantile(.99, f.jittered).Seconds()},
		line{Name: "policy-writes", N: n, Unit: "writes a backup", Value: f.perBackup()},
		line{Name: "policy-writes-rest", N: n, Unit: "writes", Value: f.atRest.sum()},
		line{Name: "policy-start", N: n, Unit: "s", Value: f.start.Seconds()},
		line{Name: "policy-drain", N: n, Unit: "s", Value: f.drain.Seconds()},
	)
}

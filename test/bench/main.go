package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/lull-dev/lull/test/framework"
)

// sizes are the numbers of volumes that are measured.
var sizes = []int{1, 8}

type options struct {
	rounds, restoreRounds int
	cutDelay              time.Duration
	crowd, eighty         int
	cluster               string
	only                  string
	audit, picture        string
	// Of exports.
	exportRounds, exportFiles int
	exportBytes               int64
	restServer                string
	// Of the part that has a control plane of its own.
	policies, ended         int
	manager, scalingPicture string
}

// part is one of the parts of the benchmark.
type part func(context.Context, options) ([]line, error)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 15, "How often each figure of a freeze is taken.")
	flag.IntVar(&o.restoreRounds, "restore-rounds", 10, "How often each figure of a restore is taken.")
	flag.DurationVar(&o.cutDelay, "cut-delay", time.Second, "How long the slow storage takes to cut; 0 leaves it out. The test driver's own cut takes less than a millisecond.")
	flag.IntVar(&o.crowd, "crowd", 20000, "How many contents of others are in the API server for the freeze in a crowd; 0 leaves it out.")
	flag.IntVar(&o.eighty, "eighty", 80, "How many applications are backed up at once, on the snapshot controllers' own limits and on the cluster's; 0 leaves it out.")
	flag.StringVar(&o.cluster, "cluster", "", "The command of test/cluster, with its arguments, by which the limits are set. Without it eighty is left out.")
	flag.StringVar(&o.only, "only", "", "Measure only this: freeze, freeze-crowded, eighty, idle, restore-downtime, export or policies, which needs no cluster.")
	flag.StringVar(&o.audit, "audit", "", "The API server's audit log, by which outages are taken apart.")
	flag.StringVar(&o.picture, "picture", "", "Where to draw, as SVG, a bare restart and a restore of each strategy; needs -audit.")
	flag.IntVar(&o.exportRounds, "export-rounds", 3, "How often each figure of an export is taken.")
	flag.Int64Var(&o.exportBytes, "export-bytes", 4<<30, "How much is exported in large files; 0 leaves them out.")
	flag.IntVar(&o.exportFiles, "export-files", 100000, "How many small files are exported; 0 leaves them out.")
	flag.StringVar(&o.restServer, "rest-server", "", "The program rest-server, which exports are measured with.")
	flag.IntVar(&o.policies, "policies", 10000, "How many policies are due at once; 0 leaves them out.")
	flag.IntVar(&o.ended, "ended", 50000, "How many backups have ended before, at least twice as many.")
	flag.StringVar(&o.manager, "manager", "bin/image/manager", "The program of the image, which make program builds: policies are measured with it.")
	flag.StringVar(&o.scalingPicture, "scaling-picture", "", "Where to draw, as SVG, lateness and memory over the number of policies.")
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{}
	defer func() { err = errors.Join(err, b.leave(context.WithoutCancel(ctx))) }()
	lines, err := b.measure(ctx, o)
	return errors.Join(err, writeJSON(os.Getenv("BENCH_OUT"), lines))
}

// onCluster connects to the cluster before the first part that needs it.
func (b *bench) onCluster(measure part) part {
	return func(ctx context.Context, o options) (_ []line, err error) {
		if b.Cluster == nil {
			if b.Cluster, err = framework.Connect(); err != nil {
				return nil, err
			}
			if b.namespace, err = b.Namespace(ctx, "bench"); err != nil {
				return nil, err
			}
		}
		return measure(ctx, o)
	}
}

// leave removes from the cluster what was made there.
func (b *bench) leave(ctx context.Context) error {
	if b.namespace == "" {
		return nil
	}
	return b.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace}})
}

// measure takes and prints all figures that are asked for, and returns what it
// has of them when one can't be taken.
func (b *bench) measure(ctx context.Context, o options) (lines []line, err error) {
	parts := []struct {
		name    string
		measure part
	}{
		{"freeze", b.onCluster(b.measureFreezes)},
		{"freeze-crowded", b.onCluster(b.measureCrowded)},
		{"eighty", b.onCluster(b.measureEighty)},
		{"idle", b.onCluster(b.measureIdle)},
		{"restore-downtime", b.onCluster(b.measureDowntimes)},
		{"export", b.onCluster(b.measureExports)},
		{"policies", measurePolicies},
	}
	for _, p := range parts {
		if o.only != "" && o.only != p.name {
			continue
		}
		more, err := p.measure(ctx, o)
		if err != nil {
			return lines, fmt.Errorf("%s: %w", p.name, err)
		}
		lines = append(lines, more...)
	}
	return lines, nil
}

// measureFreezes measures with storage that cuts at once, where all that counts
// is the work around it: of several volumes as a group, and one by one as where
// the driver has no groups. Then with storage that takes its time, as disks in a
// cloud do.
func (b *bench) measureFreezes(ctx context.Context, o options) (lines []line, err error) {
	if err := b.started(ctx); err != nil {
		return nil, err
	}
	for _, storage := range []struct {
		name, title string
		set         func(context.Context) (forget func(), err error)
	}{
		{"freeze", "storage that cuts at once, several volumes as a group", b.groups},
		{"freeze-no-group", "storage that cuts at once, each volume by itself", nil},
		{"freeze-slow-cut", fmt.Sprintf("storage that takes %s to cut, each volume by itself", o.cutDelay),
			func(ctx context.Context) (func(), error) { return b.slowStorage(ctx, o.cutDelay) }},
	} {
		if storage.name == "freeze-slow-cut" && o.cutDelay == 0 {
			continue
		}
		figures, err := b.freezesOn(ctx, storage.set, o.rounds)
		if err != nil {
			return lines, fmt.Errorf("%s: %w", storage.title, err)
		}
		printFreezes(os.Stdout, storage.title, figures, o.rounds)
		lines = append(lines, freezeLines(storage.name, figures, o.rounds)...)
	}
	return lines, nil
}

// freezesOn takes the figures on storage that is set up for them.
func (b *bench) freezesOn(ctx context.Context, set func(context.Context) (forget func(), err error), rounds int) ([]figures, error) {
	if set == nil {
		return b.freezes(ctx, rounds)
	}
	forget, err := set(ctx)
	if err != nil {
		return nil, err
	}
	defer forget()
	return b.freezes(ctx, rounds)
}

// measureCrowded measures whether a freeze grows with what else is in the
// cluster.
func (b *bench) measureCrowded(ctx context.Context, o options) ([]line, error) {
	if o.crowd == 0 {
		return nil, nil
	}
	if err := b.started(ctx); err != nil {
		return nil, err
	}
	alone, crowded, err := b.crowded(ctx, o.crowd, o.rounds)
	if err != nil {
		return nil, err
	}
	printCrowded(os.Stdout, alone, crowded, o.crowd, o.rounds)
	return crowdedLines(alone, crowded, o.crowd, o.rounds), nil
}

func (b *bench) measureIdle(ctx context.Context, _ options) ([]line, error) {
	idle, err := b.idle(ctx)
	if err != nil {
		return nil, err
	}
	printIdle(os.Stdout, idle)
	return idle.lines(), nil
}

func (b *bench) measureDowntimes(ctx context.Context, o options) ([]line, error) {
	all, err := b.downtimes(ctx, o.restoreRounds)
	if err != nil {
		return nil, err
	}
	printDowntimes(os.Stdout, all, o.restoreRounds)
	return downtimeLines(all, o.restoreRounds), drawDowntimes(o, all)
}

// freezes takes turns: a bare snapshot and a backup of the same volumes, of
// one and of many. What else goes on in the machine meets all alike.
func (b *bench) freezes(ctx context.Context, rounds int) ([]figures, error) {
	all := make([]figures, len(sizes))
	for round := range rounds + 1 {
		for i, n := range sizes {
			all[i].n = n
			if err := b.round(ctx, &all[i], n, round > 0); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round, rounds)
	}
	return all, nil
}

// round takes each figure once. The first round is not kept: it warms up.
func (b *bench) round(ctx context.Context, f *figures, n int, keep bool) error {
	bare, err := b.bareSnapshots(ctx, n)
	if err != nil {
		return err
	}
	freeze, err := b.backup(ctx, n)
	if err != nil {
		return err
	}
	if keep {
		f.bare = append(f.bare, bare)
		f.freezes = append(f.freezes, freeze)
	}
	return nil
}

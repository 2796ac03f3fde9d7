package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/lull-dev/lull/test/framework"
)

type options struct {
	rounds     int
	seed       uint64
	only       string
	sideBySide int

	table, journal, junit string
}

func main() {
	o := options{}
	flag.IntVar(&o.rounds, "rounds", 0, "How many rounds of each database and layout; 0 for the short form.")
	flag.Uint64Var(&o.seed, "seed", 0, "Seed of how much is written before each freeze; 0 makes one up.")
	flag.StringVar(&o.only, "only", "", "Only databases and layouts whose \"database, layout\" contains this.")
	flag.IntVar(&o.sideBySide, "side-by-side", 2, "How many rounds are run side by side.")
	flag.StringVar(&o.table, "table", "", "A page whose table of rounds is replaced.")
	flag.StringVar(&o.journal, "journal", "", "A file that rounds are written into. Those that it has aren't run again.")
	flag.StringVar(&o.junit, "junit", "", "A file for a report of tests.")
	flag.Parse()
	ctrl.SetLogger(logr.Discard()) // what clients have to say is said in errors too
	if o.seed == 0 {
		o.seed = rand.Uint64N(1 << 32)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	good, err := execute(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "proof:", err)
	}
	if err != nil || !good {
		os.Exit(1)
	}
}

// mostServers is how many testbeds there are at once: a server that waits for its next
// round needs memory, and a little of the processor.
const mostServers = 12

// execute runs all rounds. It is true where none failed.
func execute(ctx context.Context, o options) (bool, error) {
	beds, err := o.testbeds()
	if err != nil {
		return false, err
	}
	r := &report{journal: journal{o.journal}}
	if err := r.begin(beds); err != nil {
		return false, err
	}
	cluster, err := framework.Connect()
	if err != nil {
		return false, err
	}
	if _, err := cluster.Manager(ctx); err != nil {
		return false, err
	}
	if err := removeLeftOvers(ctx, cluster); err != nil {
		return false, err
	}
	fmt.Printf("seed %d\n", o.seed)
	began := time.Now()
	places := make(chan struct{}, o.sideBySide)
	var all errgroup.Group
	all.SetLimit(mostServers)
	for _, bed := range beds {
		bed.Cluster, bed.places, bed.report, bed.seed = cluster, places, r, o.seed
		all.Go(func() error { bed.run(ctx); return nil })
	}
	_ = all.Wait() // what went wrong is in the report
	r.took = time.Since(began)
	good := r.print(os.Stdout)
	if o.table != "" {
		err = r.writeInto(o.table)
	}
	if o.junit != "" {
		err = errors.Join(err, r.writeJUnit(o.junit))
	}
	return good, err
}

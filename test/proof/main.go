package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/lull-dev/lull/test/framework"
)

type options struct {
	rounds     int
	seed       uint64
	only       string
	sideBySide int
	table      string
}

func main() {
	o := options{}
	flag.IntVar(&o.rounds, "rounds", 1, "How many rounds of each database and layout.")
	flag.Uint64Var(&o.seed, "seed", 0, "Seed of how much is written before each freeze; 0 makes one up.")
	flag.StringVar(&o.only, "only", "", "Only databases and layouts whose \"database, layout\" contains this.")
	flag.IntVar(&o.sideBySide, "side-by-side", 2, "How many rounds are run side by side.")
	flag.StringVar(&o.table, "table", "", "A page whose table of rounds is replaced.")
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

// execute runs all rounds. It is true where none failed.
func execute(ctx context.Context, o options) (bool, error) {
	if o.rounds < 1 || o.sideBySide < 1 {
		return false, errors.New("-rounds and -side-by-side are numbers from 1")
	}
	if o.only != "" && o.table != "" {
		return false, errors.New("-table writes the whole table, and -only runs a part of it: leave out one of the two")
	}
	cluster, err := framework.Connect()
	if err != nil {
		return false, err
	}
	if _, err := cluster.Manager(ctx); err != nil {
		return false, err
	}
	fmt.Printf("seed %d\n", o.seed)
	began := time.Now()
	r := &report{asked: o.rounds}
	places := make(chan struct{}, o.sideBySide)
	var all sync.WaitGroup
	for i, bed := range testbeds(cluster, o.only) {
		r.rows = append(r.rows, &row{database: bed.engine.name(), layout: bed.layout})
		bed.row, bed.places, bed.report = r.rows[len(r.rows)-1], places, r
		bed.random = rand.New(rand.NewPCG(o.seed, uint64(i)))
		all.Go(func() { bed.run(ctx, o.rounds) })
	}
	all.Wait()
	if len(r.rows) == 0 {
		return false, fmt.Errorf("-only=%q names no database and layout", o.only)
	}
	r.took = time.Since(began)
	good := r.print(os.Stdout)
	if o.table != "" {
		err = r.writeInto(o.table)
	}
	return good, err
}

// testbeds are those of each database and layout whose name contains a text.
func testbeds(cluster *framework.Cluster, only string) (beds []*testbed) {
	for _, e := range []engine{mariadb{}} {
		for _, l := range layouts {
			if strings.Contains(e.name()+", "+l.name, only) {
				beds = append(beds, &testbed{Cluster: cluster, engine: e, layout: l})
			}
		}
	}
	return beds
}

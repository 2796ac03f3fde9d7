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
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

type options struct {
	rounds   int
	seed     uint64
	testbeds int
	kind     string
	kills    bool
	only     string
	fault    string
	at       string
	history  string
}

func main() {
	o := options{}
	flag.IntVar(&o.rounds, "rounds", 0, "How many random rounds; 0 is the short form.")
	flag.Uint64Var(&o.seed, "seed", 0, "Seed of what is left to chance; 0 is 1 in the short form, which is the same each time, and else makes one up.")
	flag.IntVar(&o.testbeds, "testbeds", 3, "How many rounds are run side by side.")
	flag.StringVar(&o.kind, "kind", "", "Only scenarios of this kind: backup, restore or policy.")
	flag.BoolVar(&o.kills, "kills", true, "Also kill the manager at each failpoint.")
	flag.StringVar(&o.only, "scenario", "", "Only scenarios whose name contains this.")
	flag.StringVar(&o.fault, "fault", "", "Only faults whose name contains this.")
	flag.StringVar(&o.at, "at", "", "Only faults at moments whose name contains this.")
	flag.StringVar(&o.history, "history", "", "Judge this history, which a run has kept, and run nothing.")
	flag.Parse()
	ctrl.SetLogger(logr.Discard()) // what clients have to say is said in errors too
	if o.history != "" {
		os.Exit(judgeKept(o.history))
	}
	if o.seed == 0 && o.rounds == 0 {
		o.seed = 1
	} else if o.seed == 0 {
		o.seed = rand.Uint64N(1 << 32)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	good, err := execute(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
	}
	if err != nil || !good {
		os.Exit(1)
	}
}

func execute(ctx context.Context, o options) (good bool, err error) {
	s, err := newSuite(ctx)
	if s != nil {
		defer func() { err = errors.Join(err, s.close(context.WithoutCancel(ctx))) }()
	}
	if err != nil {
		return false, err
	}
	fmt.Printf("seed %d\n", o.seed)
	began := time.Now()
	ctx, halt := context.WithCancelCause(ctx)
	defer halt(nil)
	c := &campaign{suite: s, stop: halt, options: o, random: rand.New(rand.NewPCG(o.seed, o.seed)), report: newReport()}
	if err := c.execute(ctx); err != nil {
		return false, err
	}
	c.report.took = time.Since(began)
	c.judge(ctx, began)
	return c.report.print(os.Stdout), c.report.write("bin/results/faults.xml")
}

func matches(name, part string) bool { return strings.Contains(name, part) }

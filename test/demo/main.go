package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/lull-dev/lull/test/framework"
)

// namespace is the demo's own. A demo that is run again clears it first.
const namespace = "lull-demo"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cluster, err := framework.Connect()
	if err != nil {
		return err
	}
	d := &demo{Cluster: cluster, say: newNarrator(os.Stdout)}
	defer d.stopWriter()
	for i, s := range d.scenario() {
		if err := d.say.step(ctx, i+1, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	d.say.epilogue(d)
	return nil
}

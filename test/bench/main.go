// bench measures how long an application stays frozen, beside the time that a
// bare snapshot takes on the same storage in the same minutes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/test/fixture"
)

// sizes are the numbers of volumes that are measured.
var sizes = []int{1, 8}

func main() {
	rounds := flag.Int("rounds", 15, "How often each figure is taken.")
	cutDelay := flag.Duration("cut-delay", 0, "How long the storage takes to cut: for the test driver, whose own cut takes less than a millisecond.")
	flag.Parse()
	if err := run(*rounds, *cutDelay); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(rounds int, cutDelay time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cluster, err := fixture.Connect()
	if err != nil {
		return err
	}
	namespace, err := cluster.Namespace(ctx, "bench")
	if err != nil {
		return err
	}
	defer func() {
		gone := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		if err := cluster.Delete(context.WithoutCancel(ctx), gone); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
	}()
	b := &bench{Cluster: cluster, namespace: namespace}
	if cutDelay > 0 {
		forget, err := b.slowStorage(ctx, cutDelay)
		if err != nil {
			return err
		}
		defer forget()
	}
	figures, err := b.freezes(ctx, rounds)
	if err != nil {
		return err
	}
	idle, err := b.idle(ctx)
	if err != nil {
		return err
	}
	printFreezes(os.Stdout, figures, rounds)
	printIdle(os.Stdout, idle)
	return writeJSON(os.Getenv("BENCH_OUT"), append(freezeLines(figures, rounds), idle.lines()...))
}

// freezes takes turns: a bare snapshot and a backup of the same volumes, of
// one and of many. What else goes on in the machine meets all alike.
func (b *bench) freezes(ctx context.Context, rounds int) ([]figures, error) {
	if err := b.start(ctx, slices.Max(sizes)); err != nil {
		return nil, err
	}
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

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	if err := os.RemoveAll(results); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	began := time.Now()
	outcomes := runLanes(os.Args[1:], &output{to: os.Stdout})
	if !summarize(os.Stdout, outcomes, time.Since(began)) {
		os.Exit(1)
	}
}

// runLanes returns what became of all tiers, in the order of the arguments.
func runLanes(lanes []string, out *output) []outcome {
	outcomes := make([][]outcome, len(lanes))
	var all sync.WaitGroup
	for i, lane := range lanes {
		all.Go(func() {
			for tier := range strings.SplitSeq(lane, ",") {
				outcomes[i] = append(outcomes[i], run(tier, out))
			}
		})
	}
	all.Wait()
	return slices.Concat(outcomes...)
}

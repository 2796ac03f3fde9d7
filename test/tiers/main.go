// tiers runs tiers of tests, each as `make test-<tier>`. Each argument is a lane:
// tiers with commas between them, which run one after the other. The lanes run
// side by side, so tiers that disturb each other share one:
//
//	go run ./test/tiers unit,integration e2e,faults
//
// Every line of output begins with its tier. At the end stand what failed, where
// the time went, and one line of counts.
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

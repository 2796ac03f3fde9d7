package main

import (
	"fmt"
	"os"

	"github.com/lull-dev/lull/test/faults/points"
)

func main() {
	all, err := points.Find(".")
	if err == nil {
		err = points.Write(".", all)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "list:", err)
		os.Exit(1)
	}
}

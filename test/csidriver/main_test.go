package main

import (
	"fmt"
	"os"
	"testing"
)

// asCommand makes the test's binary be the command, so that tests start, kill
// and start again the very thing that users run.
const asCommand = "CSIDRIVER_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests attach loop devices and mount them: run them as root")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// Command cluster runs a real Kubernetes cluster of one node on this machine,
// for the project's tests and demo. README.md beside this file tells how.
package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/lull-dev/lull/test/cluster/internal/cluster"
	"github.com/lull-dev/lull/test/cluster/internal/report"
)

func main() {
	keepDescriptors()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// What a command finds goes to its output; what it does, to its errors.
	say := report.New(os.Stderr)
	err := command(say).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// keepDescriptors keeps what this process was started with, a lock of its
// caller's for one, from the components: they outlive it.
func keepDescriptors() {
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		fmt.Fprintln(os.Stderr, "Warning: components may keep files of the caller open:", err)
	}
}

func command(say *report.Reporter) *cobra.Command {
	root := &cobra.Command{
		Use:           "cluster",
		Short:         "A real Kubernetes cluster of one node on this machine, for tests",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(
		upCommand(say), downCommand(say), statusCommand(say),
		kubeconfigCommand(), logsCommand(),
		binariesCommand(say), imagesCommand(say), loadCommand(say),
		componentCommand(say, "start", "Start a component and wait until it is ready", locked, (*cluster.Cluster).Start),
		componentCommand(say, "stop", "Stop a component until it is started again", locked, (*cluster.Cluster).Stop),
		componentCommand(say, "restart", "Stop a component, start it, and wait until it is ready", locked, (*cluster.Cluster).Restart),
		componentCommand(say, "kill", "Kill a component's process; it is started again at once", unlocked, (*cluster.Cluster).Kill),
		componentCommand(say, "suspend", "Have a component's process stand still where it is, as one that hangs", unlocked, (*cluster.Cluster).Suspend),
		componentCommand(say, "resume", "Have a component's process that was suspended go on", unlocked, (*cluster.Cluster).Resume),
	)
	return root
}

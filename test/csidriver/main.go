// Command csidriver is a CSI storage driver for tests: real disks on one
// machine, which misbehave when asked to. See README.md.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/lull-dev/lull/test/csidriver/disk"
)

const defaultDataDir = "/var/lib/lull-cluster/csi"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "csidriver:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	return command().ExecuteContext(ctx)
}

func command() *cobra.Command {
	var o options
	var poolSize string
	cmd := &cobra.Command{
		Use:           "csidriver",
		Short:         "A CSI storage driver for tests",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			size, err := resource.ParseQuantity(poolSize)
			if err != nil {
				return fmt.Errorf("--pool-size: %w", err)
			}
			o.config.PoolSize = size.Value()
			return serve(cmd.Context(), o, slog.New(slog.NewTextHandler(os.Stderr, nil)))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.endpoint, "endpoint", "unix:///var/lib/lull-cluster/csi/csi.sock", "the CSI socket")
	flags.StringVar(&o.config.Name, "driver-name", "disk.csi.lull.dev", "the driver's name")
	flags.StringVar(&o.config.NodeID, "node-id", "lull", "the node's name")
	flags.StringVar(&o.kubeletDir, "kubelet-dir", "", "the kubelet's folder, to register there; none if empty")
	flags.StringVar(&poolSize, "pool-size", "64Gi", "the most that all volumes can hold together (sparse); counts when the pool is made")
	cmd.PersistentFlags().StringVar(&o.config.DataDir, "data-dir", defaultDataDir, "where everything is kept")
	cmd.AddCommand(cleanupCommand(&o.config.DataDir), faultCommand(&o.config.DataDir))
	return cmd
}

func cleanupCommand(dataDir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "cleanup",
		Short: "Unmount and detach everything that came from the data folder; files stay",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return disk.Cleanup(*dataDir) },
	}
}

func controlSocket(dataDir string) string { return filepath.Join(dataDir, "control.sock") }

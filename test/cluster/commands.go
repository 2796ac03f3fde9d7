package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/lull-dev/lull/test/cluster/internal/build"
	"github.com/lull-dev/lull/test/cluster/internal/cluster"
	"github.com/lull-dev/lull/test/cluster/internal/layout"
	"github.com/lull-dev/lull/test/cluster/internal/report"
)

// Whether a command changes the cluster and must be alone in doing so. kill is
// not: a crash doesn't wait for its turn.
const (
	locked   = true
	unlocked = false
)

// with runs do on the cluster.
func with(ctx context.Context, say *report.Reporter, lock bool, do func(*cluster.Cluster) error) error {
	c, err := cluster.New(say)
	if err != nil {
		return err
	}
	if lock {
		unlock, err := cluster.Lock(ctx, say)
		if err != nil {
			return err
		}
		defer unlock()
	}
	return do(c)
}

func upCommand(say *report.Reporter) *cobra.Command {
	var images []string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Build, start or repair what is missing, until the cluster is ready",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(cmd.Context(), say, locked, func(c *cluster.Cluster) error { return c.Up(cmd.Context(), images) })
		},
	}
	cmd.Flags().StringSliceVar(&images, "images", nil, "make and load these images alone, by their folders in test/images, or with a tag as in postgres-17 (default: all that are tagged test)")
	return cmd
}

func downCommand(say *report.Reporter) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Remove all trace of the cluster but what is in the cache",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(cmd.Context(), say, locked, func(c *cluster.Cluster) error { return c.Down(cmd.Context()) })
		},
	}
}

func statusCommand(say *report.Reporter) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell how each component is; exits with 1 unless all are ready",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(cmd.Context(), say, unlocked, func(c *cluster.Cluster) error {
				ready, err := c.Status(cmd.Context(), cmd.OutOrStdout())
				if err == nil && !ready {
					err = errors.New("not all components are ready")
				}
				return err
			})
		},
	}
}

func kubeconfigCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the kubeconfig",
		Args:  cobra.NoArgs,
		Run:   func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), layout.Kubeconfig) },
	}
}

func logsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logs [COMPONENT]",
		Short: "Print the path of a component's log, or of the folder with all logs",
		Args:  cobra.MaximumNArgs(1),
		Run: func(cmd *cobra.Command, args []string) {
			path := layout.Logs
			if len(args) == 1 {
				path = layout.Log(args[0])
			}
			fmt.Fprintln(cmd.OutOrStdout(), path)
		},
	}
}

func binariesCommand(say *report.Reporter) *cobra.Command {
	return &cobra.Command{
		Use:       "binaries PROGRAM…",
		Short:     "Build programs, unless they are cached, and print the folders they are in",
		Args:      cobra.MinimumNArgs(1),
		ValidArgs: build.Programs(),
		RunE: func(cmd *cobra.Command, programs []string) error {
			return with(cmd.Context(), say, unlocked, func(c *cluster.Cluster) error {
				var folders []string
				for _, program := range programs {
					path, err := c.Program(cmd.Context(), program)
					if err != nil {
						return err
					}
					folders = append(folders, filepath.Dir(path))
				}
				slices.Sort(folders)
				for _, folder := range slices.Compact(folders) {
					fmt.Fprintln(cmd.OutOrStdout(), folder)
				}
				return nil
			})
		},
	}
}

func imagesCommand(say *report.Reporter) *cobra.Command {
	return &cobra.Command{
		Use:   "images",
		Short: "Make the images that up loads, unless they are cached, and print their files",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(cmd.Context(), say, unlocked, func(c *cluster.Cluster) error {
				paths, err := c.Images(cmd.Context())
				for _, path := range paths {
					fmt.Fprintln(cmd.OutOrStdout(), path)
				}
				return err
			})
		},
	}
}

func loadCommand(say *report.Reporter) *cobra.Command {
	return &cobra.Command{
		Use:   "load FILE…",
		Short: "Import image archives, of docker's kind or OCI's, into the cluster",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			return with(cmd.Context(), say, unlocked, func(c *cluster.Cluster) error { return c.Load(cmd.Context(), paths) })
		},
	}
}

// componentCommand is a command that does one thing to one component.
func componentCommand(say *report.Reporter, name, short string, lock bool,
	do func(*cluster.Cluster, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use:   name + " COMPONENT",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return with(cmd.Context(), say, lock, func(c *cluster.Cluster) error { return do(c, cmd.Context(), args[0]) })
		},
	}
}

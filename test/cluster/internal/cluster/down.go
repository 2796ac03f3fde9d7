package cluster

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/lull-dev/lull/test/cluster/internal/host"
	"github.com/lull-dev/lull/test/cluster/internal/layout"
	"github.com/lull-dev/lull/test/cluster/internal/network"
	"github.com/lull-dev/lull/test/cluster/internal/process"
)

// Down removes all trace of the cluster but what is in the cache. It trusts no
// note of what was done, and looks itself.
func (c *Cluster) Down(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"ending processes", endProcesses},
		{"unmounting", func(context.Context) error { return host.Release(layout.Root, layout.Run) }},
		{"removing the network", removeNetwork},
		{"removing files", removeFiles},
	} {
		if err := c.Report.Step(step.what, nil, func() error { return step.do(ctx) }); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// endProcesses kills components, containers, and whatever else we started: all
// that they could lose goes anyway. Components come first, so that none starts a
// container that was ended.
func endProcesses(ctx context.Context) error {
	if err := killMarked(ctx); err != nil {
		return err
	}
	return host.EndCgroup(ctx, layout.Cgroup)
}

// killMarked kills all processes that bear our mark: supervisors, components,
// and containerd's shims.
func killMarked(ctx context.Context) error {
	return process.Poll(ctx, 20*time.Millisecond, func() (bool, error) {
		marked, err := process.Marked(layout.Marker)
		if err != nil || len(marked) == 0 {
			return true, err
		}
		for _, one := range marked {
			if err := one.Signal(syscall.SIGKILL); err != nil {
				return false, err
			}
		}
		return false, nil
	})
}

func removeNetwork(ctx context.Context) error {
	if err := network.Down(); err != nil {
		return err
	}
	return network.RemoveRules(ctx)
}

func removeFiles(context.Context) error {
	if err := host.Restore(layout.Before); err != nil {
		return err
	}
	if err := os.RemoveAll(layout.Run); err != nil {
		return err
	}
	return os.RemoveAll(layout.Root)
}

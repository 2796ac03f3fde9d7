package cluster

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/lull-dev/lull/test/cluster/internal/component"
	"github.com/lull-dev/lull/test/cluster/internal/layout"
	"github.com/lull-dev/lull/test/cluster/internal/process"
)

// find returns a component that there is to be.
func (c *Cluster) find(name string) (component.Component, error) {
	return component.Find(c.components(), name)
}

// Start starts a component, if it doesn't run, and waits until it is ready. What
// it starts is what up last started: only up builds.
func (c *Cluster) Start(ctx context.Context, name string) error {
	of, err := c.find(name)
	if err != nil {
		return err
	}
	last, err := state(name)
	if err != nil {
		return err
	}
	if len(last.Command) == 0 {
		return fmt.Errorf("%s never ran: bring the cluster up", name)
	}
	return c.ensure(ctx, of, last.Command[0])
}

// Stop ends a component. It stays ended until it is started, or until up.
func (c *Cluster) Stop(ctx context.Context, name string) error {
	if _, err := c.find(name); err != nil {
		return err
	}
	return c.Report.Step("stopping "+name, nil, func() error {
		return process.Stop(ctx, layout.Processes, name)
	})
}

// Restart ends a component, starts it, and waits until it is ready.
func (c *Cluster) Restart(ctx context.Context, name string) error {
	if err := c.Stop(ctx, name); err != nil {
		return err
	}
	return c.Start(ctx, name)
}

// Kill kills a component's program, as a crash would. Its supervisor starts it
// again at once; Kill waits for that, but not until it is ready.
func (c *Cluster) Kill(ctx context.Context, name string) error {
	before, err := c.signal(name, syscall.SIGKILL)
	if err != nil {
		return err
	}
	return process.Poll(ctx, 5*time.Millisecond, func() (bool, error) {
		now, err := state(name)
		return now.Program != before, err
	})
}

// Suspend has a component's program stand still, as one that hangs.
func (c *Cluster) Suspend(_ context.Context, name string) error {
	_, err := c.signal(name, syscall.SIGSTOP)
	return err
}

// Resume has a component's program go on that was suspended.
func (c *Cluster) Resume(_ context.Context, name string) error {
	_, err := c.signal(name, syscall.SIGCONT)
	return err
}

// signal sends a component's program a signal and returns which process it is.
func (c *Cluster) signal(name string, signal syscall.Signal) (process.Identity, error) {
	if _, err := c.find(name); err != nil {
		return process.Identity{}, err
	}
	now, err := state(name)
	if err != nil {
		return process.Identity{}, err
	}
	if !now.Running() {
		return process.Identity{}, fmt.Errorf("%s doesn't run", name)
	}
	return now.Program, now.Program.Signal(signal)
}

// Status writes a line about each component, and says whether all are ready.
func (c *Cluster) Status(ctx context.Context, out io.Writer) (ready bool, err error) {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tPID\tUPTIME\tRESTARTS\tSTATE")
	ready = true
	for _, of := range c.components() {
		now, err := state(of.Name)
		if err != nil {
			return false, err
		}
		if !now.Running() {
			ready = false
			fmt.Fprintf(table, "%s\t-\t-\t-\tstopped\n", of.Name)
			continue
		}
		word := "ready"
		ask, cancel := context.WithTimeout(ctx, 5*time.Second)
		if err := of.Ready(ask); err != nil {
			ready = false
			word = "not ready: " + err.Error()
		}
		cancel()
		uptime := time.Since(now.Started).Round(time.Second)
		fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%s\n", of.Name, now.Program.PID, uptime, now.Restarts, word)
	}
	return ready, table.Flush()
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lull-dev/lull/test/cluster/internal/build"
	"github.com/lull-dev/lull/test/cluster/internal/component"
	"github.com/lull-dev/lull/test/cluster/internal/image"
	"github.com/lull-dev/lull/test/cluster/internal/layout"
	"github.com/lull-dev/lull/test/cluster/internal/network"
	"github.com/lull-dev/lull/test/cluster/internal/objects"
	"github.com/lull-dev/lull/test/cluster/internal/process"
)

const (
	// supervisor is the program that components run under.
	supervisor = "supervise"
	// patience is how long a component that was started may take to be ready.
	patience = 90 * time.Second
	// repairAfter is how long one that ran already may take, before it is started
	// again.
	repairAfter = 15 * time.Second
	// tooManyRestarts end the wait for one that ends again and again.
	tooManyRestarts = 6
)

// startAll starts the components and waits until all are ready: first those
// that need none, then the API server, then all that need it. Images are loaded
// meanwhile, as soon as containerd is there.
func (c *Cluster) startAll(ctx context.Context, archives []image.Archive) error {
	all := c.components()
	started := map[string]bool{}
	loading, loadCtx := errgroup.WithContext(ctx)
	wave := func(names ...string) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, name := range names {
			started[name] = true
			of, err := component.Find(all, name)
			if err != nil {
				return err
			}
			group.Go(func() error {
				program, err := c.program(ctx, of)
				if err != nil {
					return err
				}
				return c.ensure(ctx, of, program)
			})
		}
		return group.Wait()
	}
	if err := wave(component.Containerd, component.Etcd); err != nil {
		return err
	}
	loading.Go(func() error { return c.loadAll(loadCtx, archives) })
	if err := wave(component.APIServer); err != nil {
		return errors.Join(err, loading.Wait())
	}
	if err := c.applyObjects(ctx); err != nil {
		return errors.Join(fmt.Errorf("apply objects: %w", err), loading.Wait())
	}
	var rest []string
	for _, of := range all {
		if !started[of.Name] {
			rest = append(rest, of.Name)
		}
	}
	err := wave(rest...)
	return errors.Join(err, loading.Wait(), network.ApplyRules(ctx))
}

// ensure has a component run a program, unless it does so already, and waits
// until it is ready.
func (c *Cluster) ensure(ctx context.Context, of component.Component, program string) error {
	now, err := state(of.Name)
	if err != nil {
		return err
	}
	if now.Running() && now.Version == of.Version(program) {
		if c.awaitReady(ctx, of, repairAfter) == nil {
			return nil
		}
		c.Report.Say("%s runs but isn't ready: starting it again", of.Name)
	}
	return c.Report.Step("starting "+of.Name, nil, func() error {
		if err := process.Stop(ctx, layout.Processes, of.Name); err != nil {
			return err
		}
		if err := c.start(ctx, of, program); err != nil {
			return err
		}
		return c.awaitReady(ctx, of, patience)
	})
}

// start starts a component that doesn't run.
func (c *Cluster) start(ctx context.Context, of component.Component, program string) error {
	for path, text := range of.Files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	supervise, err := c.Program(ctx, supervisor)
	if err != nil {
		return err
	}
	return process.Start(ctx, process.Spec{
		Name:       of.Name,
		Supervisor: supervise,
		Command:    append([]string{program}, of.Args...),
		Version:    of.Version(program),
		Marker:     layout.Marker,
		Folder:     layout.Processes,
		Log:        layout.Log(of.Name),
	})
}

// awaitReady waits until a component is ready. Its error holds the end of the
// component's log.
func (c *Cluster) awaitReady(ctx context.Context, of component.Component, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	var reason error
	err := process.Poll(ctx, 50*time.Millisecond, func() (bool, error) {
		// A program that hangs must not take all the time that there is.
		ask, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if err := of.Ready(ask); err != nil {
			if ctx.Err() == nil {
				reason = err
			}
			return false, givenUp(of.Name)
		}
		return true, nil
	})
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s isn't ready: %w (%w)\n%s", of.Name, reason, err, logEnd(of.Name))
}

// givenUp is an error when a component ends again and again.
func givenUp(name string) error {
	now, err := state(name)
	if err != nil || now.Restarts < tooManyRestarts {
		return err
	}
	return fmt.Errorf("it ended %d times, the last time with %s", now.Restarts, now.LastEnd)
}

// loadAll loads the images that aren't loaded yet.
func (c *Cluster) loadAll(ctx context.Context, archives []image.Archive) error {
	for _, archive := range archives {
		if archive.Loaded() {
			continue
		}
		err := c.Report.Step("loading "+archive.Name, nil, func() error {
			return image.Load(ctx, archive.Path, c.machine().Snapshotter())
		})
		if err != nil {
			return err
		}
		if err := archive.NoteLoaded(); err != nil {
			return err
		}
	}
	return nil
}

// applyObjects puts the API objects that the cluster comes with into it.
func (c *Cluster) applyObjects(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	config, err := clientcmd.BuildConfigFromFlags("", layout.Kubeconfig)
	if err != nil {
		return err
	}
	applier, err := objects.NewApplier(config)
	if err != nil {
		return err
	}
	if err := applier.RBAC(ctx); err != nil {
		return err
	}
	module, err := build.ModuleFolder(ctx, c.snapshots.kinds)
	if err != nil {
		return err
	}
	if err := applier.SnapshotKinds(ctx, module); err != nil {
		return err
	}
	return applier.Storage(ctx)
}

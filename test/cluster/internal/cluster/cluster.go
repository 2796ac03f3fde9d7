// Package cluster brings the cluster up and takes it down:
//
//	up:   check the machine -> build -> prepare -> start and wait -> load images
//	down: stop -> kill -> unmount -> detach -> remove -> restore
//
// Both look at what is there and do what is missing, so that each can follow
// any state that the other, killed half-way, left behind.
package cluster

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lull-dev/lull/test/cluster/internal/build"
	"github.com/lull-dev/lull/test/cluster/internal/cache"
	"github.com/lull-dev/lull/test/cluster/internal/checkout"
	"github.com/lull-dev/lull/test/cluster/internal/component"
	"github.com/lull-dev/lull/test/cluster/internal/host"
	"github.com/lull-dev/lull/test/cluster/internal/image"
	"github.com/lull-dev/lull/test/cluster/internal/layout"
	"github.com/lull-dev/lull/test/cluster/internal/process"
	"github.com/lull-dev/lull/test/cluster/internal/report"
)

// A Cluster is the one cluster of this machine, built from one checkout.
type Cluster struct {
	*build.Builder
	snapshots snapshots
}

// New returns the cluster, as the checkout around the working folder or around
// this program would have it.
func New(say *report.Reporter) (*Cluster, error) {
	root, err := checkout.Find()
	if err != nil {
		return nil, err
	}
	store, err := cache.Open()
	if err != nil {
		return nil, err
	}
	asked, err := askedSnapshots(os.Getenv)
	if err != nil {
		return nil, err
	}
	return &Cluster{&build.Builder{Checkout: root, Cache: store, Report: say}, asked}, nil
}

// components are those that there are to be on this machine.
func (c *Cluster) components() []component.Component {
	return component.All(c.machine())
}

func (c *Cluster) machine() component.Machine {
	return component.Machine{
		Overlay:        host.CanOverlay(layout.Root),
		RestrictOOM:    !host.CanLowerOOMScore(),
		Storage:        c.HasDriver(),
		StockSnapshots: c.snapshots.isStock,
	}
}

// program returns the path of a component's program, built if it needs to be.
func (c *Cluster) program(ctx context.Context, of component.Component) (string, error) {
	switch {
	case of.Name == component.Containerd:
		return exec.LookPath(of.Name) // Debian's
	case c.snapshots.isFormer && slices.Contains(build.FormerSnapshotter.Programs, of.Name):
		folder, err := c.Folder(ctx, build.FormerSnapshotter)
		return filepath.Join(folder, of.Name), err
	}
	return c.Program(ctx, of.Name)
}

// archives are the images of these names, or with no names those that each cluster has.
func (c *Cluster) archives(ctx context.Context, names []string) ([]image.Archive, error) {
	specs, err := image.ReadSpecs(c.Checkout)
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		names = append([]string{"pause"}, names...) // without it no pod starts
	}
	if specs, err = image.Choose(specs, names); err != nil {
		return nil, err
	}
	var archives []image.Archive
	for _, spec := range specs {
		archive, err := image.Maker{Builder: c.Builder}.Archive(ctx, spec)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", spec.Name, err)
		}
		archives = append(archives, archive)
	}
	// The smallest first, the pause image among them.
	slices.SortFunc(archives, func(a, b image.Archive) int { return cmp.Compare(a.Size, b.Size) })
	return archives, nil
}

// Images makes the images that the cluster comes with and returns their files.
func (c *Cluster) Images(ctx context.Context) ([]string, error) {
	if err := host.Check(); err != nil {
		return nil, err
	}
	if err := host.InstallPackages(ctx, c.Report); err != nil {
		return nil, err
	}
	archives, err := c.archives(ctx, nil)
	var paths []string
	for _, archive := range archives {
		paths = append(paths, archive.Path)
	}
	return paths, err
}

// Load imports image archives into the running cluster.
func (c *Cluster) Load(ctx context.Context, paths []string) error {
	for _, path := range paths {
		err := c.Report.Step("loading "+path, nil, func() error {
			return image.Load(ctx, path, c.machine().Snapshotter())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// state is what is known about a component's processes.
func state(name string) (process.State, error) {
	return process.ReadState(process.StateFile(layout.Processes, name))
}

// logEnd returns the end of a component's log, for a person who must find out
// why it doesn't run.
func logEnd(name string) string {
	const most = 25
	text, err := os.ReadFile(layout.Log(name))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	lines = lines[max(0, len(lines)-most):]
	return fmt.Sprintf("the end of %s:\n%s", layout.Log(name), strings.Join(lines, "\n"))
}

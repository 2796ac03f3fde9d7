package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/lull-dev/lull/test/cluster/internal/component"
	"github.com/lull-dev/lull/test/cluster/internal/host"
	"github.com/lull-dev/lull/test/cluster/internal/image"
	"github.com/lull-dev/lull/test/cluster/internal/layout"
	"github.com/lull-dev/lull/test/cluster/internal/network"
)

// Up does what is missing for a ready cluster that has the images of these
// names, or with no names those that each cluster has.
func (c *Cluster) Up(ctx context.Context, images []string) error {
	if err := c.checkMachine(ctx); err != nil {
		return err
	}
	archives, err := c.build(ctx, images)
	if err != nil {
		return err
	}
	if err := c.prepare(ctx); err != nil {
		return err
	}
	if err := c.startAll(ctx, archives); err != nil {
		return err
	}
	c.Report.Say("the cluster is ready: export KUBECONFIG=%s", layout.Kubeconfig)
	if !c.HasDriver() {
		c.Report.Say("it has no storage: there is no CSI driver in test/csidriver")
	}
	return nil
}

// checkMachine says what is missing, installs what it can, and clears away what
// a cluster left that a restart of the machine ended.
func (c *Cluster) checkMachine(ctx context.Context) error {
	if err := host.Check(); err != nil {
		return err
	}
	if err := host.InstallPackages(ctx, c.Report); err != nil {
		return err
	}
	if _, err := os.Stat(layout.Before); err == nil {
		if host.SameBoot(layout.Before) {
			return nil
		}
		c.Report.Say("the machine was restarted since the cluster ran: starting anew")
		return c.Down(ctx)
	}
	foreign, err := network.ForeignRules(ctx)
	if foreign {
		return errors.New("another Kubernetes runs on this machine (it has iptables rules), and two would fight over them: stop it, or point KUBECONFIG at it instead; if it is one of ours that lost its folder, run down first")
	}
	return err
}

// build makes all programs and images, or finds them in the cache. Images are
// made beside the programs, for which they mostly wait for the network and disk.
func (c *Cluster) build(ctx context.Context, images []string) (archives []image.Archive, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		archives, err = c.archives(ctx, images)
		return err
	})
	group.Go(func() error {
		for _, of := range component.All(component.Machine{Storage: c.HasDriver()}) {
			if _, err := c.program(ctx, of); err != nil {
				return err
			}
		}
		_, err := c.Program(ctx, supervisor)
		return err
	})
	err = group.Wait()
	return archives, err
}

// prepare makes folders, certificates, the pods' cgroup and the network.
func (c *Cluster) prepare(ctx context.Context) error {
	for _, folder := range []string{
		layout.Root, layout.Run, layout.Config, layout.Logs, layout.CSI, layout.LoadedImages,
		layout.Processes, layout.CNI + "/conf", layout.Kubelet + "/plugins_registry",
	} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	if err := host.Note(layout.Before); err != nil {
		return err
	}
	if err := certify(); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	if err := host.MakeCgroup(layout.Cgroup); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	if err := network.Up(); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	return network.ApplyRules(ctx)
}

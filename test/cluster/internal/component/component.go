// Package component describes the programs that make up the cluster: how each
// is called, what it reads, and how one sees that it is ready.
package component

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A Component is a program of the cluster.
type Component struct {
	Name string
	Args []string
	// Files are the texts of the files that it reads when it starts, by path.
	Files map[string]string
	// Ready says why it isn't ready, or nil.
	Ready func(ctx context.Context) error
}

// Names of the components. Each is also the name of its program.
const (
	Containerd         = "containerd"
	Etcd               = "etcd"
	APIServer          = "kube-apiserver"
	ControllerManager  = "kube-controller-manager"
	Scheduler          = "kube-scheduler"
	Kubelet            = "kubelet"
	KubeProxy          = "kube-proxy"
	Driver             = "csidriver"
	SnapshotController = "snapshot-controller"
	Snapshotter        = "csi-snapshotter"
	Provisioner        = "csi-provisioner"
	Resizer            = "csi-resizer"
)

// A Machine is what components depend on that differs from one machine, or one
// checkout, to the next.
type Machine struct {
	Overlay     bool // containerd's overlayfs snapshotter works
	RestrictOOM bool // we may not lower a process' OOM score
	Storage     bool // there is a CSI driver
	// StockSnapshots: the snapshot controllers have the limits that they come
	// with, see storage.go.
	StockSnapshots bool
}

// All returns the components that there are to be. Each needs some of those
// before it, and none of those after it.
func All(machine Machine) []Component {
	all := []Component{
		containerd(machine),
		etcd(),
		apiServer(),
		controllerManager(),
		scheduler(),
		kubelet(),
		kubeProxy(),
	}
	if machine.Storage {
		all = append(all, driver(), snapshotController(machine), snapshotter(machine), provisioner(), resizer())
	}
	return all
}

// Find returns the component of a name.
func Find(all []Component, name string) (Component, error) {
	var names []string
	for _, c := range all {
		if c.Name == name {
			return c, nil
		}
		names = append(names, c.Name)
	}
	return Component{}, fmt.Errorf("there is no component %q; there are %s", name, strings.Join(names, ", "))
}

// Version differs when a component that runs program must be started again.
func (c Component) Version(program string) string {
	hash := sha256.New()
	for _, word := range append([]string{program}, c.Args...) {
		fmt.Fprintf(hash, "%d:%s,", len(word), word)
	}
	var paths []string
	for path := range c.Files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		fmt.Fprintf(hash, "%s,%d:%s,", path, len(c.Files[path]), c.Files[path])
	}
	return hex.EncodeToString(hash.Sum(nil))[:16]
}

// Snapshotter is the part of containerd that keeps images' and containers' files.
func (m Machine) Snapshotter() string {
	if m.Overlay {
		return "overlayfs"
	}
	return "native"
}

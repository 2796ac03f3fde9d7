package build

import (
	"fmt"
	"slices"
	"strings"
)

// KubernetesVersion is the version that the cluster says it is: that of
// k8s.io/kubernetes in kubernetes/go.mod.
const KubernetesVersion = "v1.36.3"

// A Module is a Go module of the checkout and the programs built from it.
type Module struct {
	Name     string
	Dir      string   // in the checkout
	Also     []string // other folders of the checkout that it uses
	Package  string   // what to build there; "tool" stands for the module's tools
	LDFlags  string   // besides -s -w
	Programs []string // what that gives
	Links    []string // other names of the one program that it gives
	Cold     string   // how long it takes with nothing cached
}

// Driver is the CSI driver's module.
var Driver = Module{
	Name:     "csidriver",
	Dir:      "test/csidriver",
	Package:  ".",
	Programs: []string{"csidriver"},
}

// Modules are all that the cluster's programs are built from.
var Modules = []Module{
	{
		Name:     "kubernetes",
		Dir:      "test/cluster/kubernetes",
		Package:  ".",
		LDFlags:  kubernetesVersionFlags(KubernetesVersion),
		Programs: []string{"kubernetes"},
		Links: []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
			"kube-proxy", "kubelet", "kubectl"},
		Cold: "about 6 minutes on two cores",
	},
	{
		Name:     "snapshotter",
		Dir:      "test/cluster/snapshotter",
		Package:  "tool",
		LDFlags:  "-X main.version=v8.5.0",
		Programs: []string{"snapshot-controller", "csi-snapshotter"},
		Cold:     "about 2 minutes on two cores",
	},
	{
		Name:     "provisioner",
		Dir:      "test/cluster/provisioner",
		Package:  "tool",
		LDFlags:  "-X main.version=v5.1.0",
		Programs: []string{"csi-provisioner"},
		Cold:     "about 2 minutes on two cores",
	},
	{
		Name:     "resizer",
		Dir:      "test/cluster/resizer",
		Package:  "tool",
		LDFlags:  "-X main.version=v2.3.0",
		Programs: []string{"csi-resizer"},
		Cold:     "about 2 minutes on two cores",
	},
	Driver,
	{
		Name:     "supervise",
		Dir:      "test/cluster/supervise",
		Also:     []string{"test/cluster/internal/process"},
		Package:  ".",
		Programs: []string{"supervise"},
	},
	{
		Name:     "pause",
		Dir:      "test/images/pause",
		Package:  ".",
		Programs: []string{"pause"},
	},
}

// ModuleOf returns the module that a program is built from.
func ModuleOf(program string) (Module, error) {
	for _, m := range Modules {
		if slices.Contains(m.Programs, program) || slices.Contains(m.Links, program) {
			return m, nil
		}
	}
	return Module{}, fmt.Errorf("there is no program %q; there are %s", program, strings.Join(Programs(), ", "))
}

// Programs are the names of all programs.
func Programs() []string {
	var names []string
	for _, m := range Modules {
		names = append(append(names, m.Programs...), m.Links...)
	}
	slices.Sort(names)
	return names
}

// kubernetesVersionFlags sets the version, which Kubernetes' own build takes
// from git, and which would otherwise read v0.0.0.
func kubernetesVersionFlags(version string) string {
	const set = "-X k8s.io/component-base/version."
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	return fmt.Sprintf("%sgitVersion=%s %sgitMajor=%s %sgitMinor=%s", set, version, set, parts[0], set, parts[1])
}

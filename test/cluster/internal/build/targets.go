package build

import (
	"fmt"
	"slices"
	"strings"
)

// KubernetesVersion is the version that the cluster says it is: that of
// k8s.io/kubernetes in programs/go.mod.
const KubernetesVersion = "v1.37.1"

// Versions that the storage controllers say they are: those of their modules in
// programs/go.mod and provisioner/go.mod.
const (
	snapshotterVersion = "v8.6.0"
	provisionerVersion = "v5.1.0"
	resizerVersion     = "v2.3.0"
)

// formerSnapshotterVersion is the one before, of which more is in the field.
const formerSnapshotterVersion = "v8.5.0"

// programsModule is the module of nearly all that the project didn't write. It
// is one, so that they are built with one version of the libraries that they
// share: what was compiled for one needn't be for the next.
const programsModule = "test/cluster/programs"

// provisionerModule is that of the one program that doesn't compile with their
// version of Kubernetes' libraries.
const provisionerModule = "test/cluster/provisioner"

// formerSnapshotterModule is that of the snapshotter's release before: a module
// has one version of another.
const formerSnapshotterModule = "test/cluster/snapshotter85"

// A Target is a group of programs that one run of the go command builds.
type Target struct {
	Name     string
	Dir      string   // the folder of its Go module, in the checkout
	Also     []string // other folders of the checkout that it uses
	Packages []string // what to build there
	LDFlags  string   // besides -s -w
	Programs []string // what that gives
	Links    []string // other names of the one program that it gives
}

// Driver is the CSI driver.
var Driver = Target{
	Name:     "csidriver",
	Dir:      "test/csidriver",
	Packages: []string{"."},
	Programs: []string{"csidriver"},
}

// Targets are all that the cluster's programs are built from.
var Targets = []Target{
	{
		Name:     "kubernetes",
		Dir:      programsModule,
		Packages: []string{"./kubernetes"},
		LDFlags:  kubernetesVersionFlags(KubernetesVersion),
		Programs: []string{"kubernetes"},
		Links: []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
			"kube-proxy", "kubelet", "kubectl"},
	},
	snapshotter("snapshotter", programsModule, snapshotterVersion),
	{
		Name:     "provisioner",
		Dir:      provisionerModule,
		Packages: []string{"github.com/kubernetes-csi/external-provisioner/v5/cmd/csi-provisioner"},
		LDFlags:  "-X main.version=" + provisionerVersion,
		Programs: []string{"csi-provisioner"},
	},
	{
		Name:     "resizer",
		Dir:      programsModule,
		Packages: []string{"github.com/kubernetes-csi/external-resizer/v2/cmd/csi-resizer"},
		LDFlags:  "-X main.version=" + resizerVersion,
		Programs: []string{"csi-resizer"},
	},
	Driver,
	{
		Name:     "supervise",
		Dir:      "test/cluster/supervise",
		Also:     []string{"test/cluster/internal/process"},
		Packages: []string{"."},
		Programs: []string{"supervise"},
	},
	{
		Name:     "pause",
		Dir:      "test/images/pause",
		Packages: []string{"."},
		Programs: []string{"pause"},
	},
	{
		Name:     "books",
		Dir:      "test/images/tools",
		Packages: []string{"./books"},
		Programs: []string{"books"},
	},
	{
		Name:     "flaky",
		Dir:      "test/images/servers",
		Packages: []string{"./flaky"},
		Programs: []string{"flaky"},
	},
	{
		Name:     "rest-server",
		Dir:      "test/tools/rest-server",
		Packages: []string{"github.com/restic/rest-server/cmd/rest-server"},
		Programs: []string{"rest-server"},
	},
	{
		Name:     "versitygw",
		Dir:      "test/tools/versitygw",
		Packages: []string{"github.com/versity/versitygw/cmd/versitygw"},
		Programs: []string{"versitygw"},
	},
	{
		Name:     "restic",
		Dir:      "test/tools/restic",
		Packages: []string{"github.com/restic/restic/cmd/restic"},
		Programs: []string{"restic"},
	},
}

// FormerSnapshotter are the snapshotter's programs as they were in the release
// before.
var FormerSnapshotter = snapshotter("snapshotter-8.5", formerSnapshotterModule, formerSnapshotterVersion)

func snapshotter(name, module, version string) Target {
	return Target{
		Name: name,
		Dir:  module,
		Packages: []string{
			"github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller",
			"github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter",
		},
		LDFlags:  "-X main.version=" + version,
		Programs: []string{"snapshot-controller", "csi-snapshotter"},
	}
}

// TargetOf returns the target that a program belongs to.
func TargetOf(program string) (Target, error) {
	for _, t := range Targets {
		if slices.Contains(t.Programs, program) || slices.Contains(t.Links, program) {
			return t, nil
		}
	}
	return Target{}, fmt.Errorf("there is no program %q; there are %s", program, strings.Join(Programs(), ", "))
}

// Programs are the names of all programs.
func Programs() []string {
	var names []string
	for _, t := range Targets {
		names = append(append(names, t.Programs...), t.Links...)
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

package build

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// modules are those whose programs a first start of the cluster and the demo
// builds. Go compiles a package of a library once for all of them where they
// agree about its version, and about those of all that it imports.
var modules = []string{".", "test/cluster", programsModule, formerSnapshotterModule, Driver.Dir}

// snapshotterRepository has the modules of the snapshotter.
const snapshotterRepository = "github.com/kubernetes-csi/external-snapshotter/"

// required returns the version of each module that a module of the checkout is
// built with.
func required(t *testing.T, dir string) map[string]string {
	t.Helper()
	type module struct{ Path, Version string }
	var file struct {
		Require []module
		Replace []struct{ Old, New module }
	}
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	cmd.Dir = filepath.Join("..", "..", "..", "..", dir)
	output, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(output, &file); err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, m := range file.Require {
		versions[m.Path] = m.Version
	}
	for _, r := range file.Replace {
		if _, ok := versions[r.Old.Path]; ok {
			versions[r.Old.Path] = r.New.Version
		}
	}
	return versions
}

func TestModulesAgreeAboutTheLibrariesThatTheyShare(t *testing.T) {
	type use struct{ version, by string }
	first := map[string]use{}
	for _, dir := range modules {
		for library, version := range required(t, dir) {
			if strings.HasPrefix(library, snapshotterRepository) {
				continue // that is what its two modules are for
			}
			if other, ok := first[library]; !ok {
				first[library] = use{version, dir}
			} else if other.version != version {
				t.Errorf("%s: %s is built with %s, %s with %s", library, other.by, other.version, dir, version)
			}
		}
	}
}

func TestTheProgramsAreTheVersionsThatTheySay(t *testing.T) {
	const provisioner = "github.com/kubernetes-csi/external-provisioner/v5"
	versions := required(t, programsModule)
	versions[provisioner] = required(t, provisionerModule)[provisioner]
	const snapshotter = snapshotterRepository + "v8"
	if former := required(t, formerSnapshotterModule)[snapshotter]; former != formerSnapshotterVersion {
		t.Errorf("the former %s is %s, and says that it is %s", snapshotter, former, formerSnapshotterVersion)
	}
	for module, says := range map[string]string{
		"k8s.io/kubernetes": KubernetesVersion,
		snapshotter:         snapshotterVersion,
		provisioner:         provisionerVersion,
		"github.com/kubernetes-csi/external-resizer/v2": resizerVersion,
	} {
		if versions[module] != says {
			t.Errorf("%s is %s, and says that it is %s", module, versions[module], says)
		}
	}
	for library, version := range versions {
		if strings.HasPrefix(library, "k8s.io/") && version == "v0.0.0" {
			t.Errorf("%s has no version: programs/go.mod must replace it", library)
		}
	}
	const want = "-X k8s.io/component-base/version.gitVersion=v1.36.3 " +
		"-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
	if got := kubernetesVersionFlags("v1.36.3"); got != want {
		t.Errorf("the flags are %s", got)
	}
}

package component

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestTheFilesOfComponentsAreFilledIn(t *testing.T) {
	for _, machine := range []Machine{{}, {Overlay: true, RestrictOOM: true, Storage: true}} {
		for _, c := range All(machine) {
			for path, text := range c.Files {
				if strings.Contains(text, "<no value>") || strings.Contains(text, "{{") {
					t.Errorf("%s: %s lacks a value:\n%s", c.Name, path, text)
				}
			}
		}
	}
	if err := yaml.UnmarshalStrict([]byte(fill("kubelet.yaml", Machine{})), &map[string]any{}); err != nil {
		t.Error(err)
	}
	if err := yaml.UnmarshalStrict([]byte(fill("audit.yaml", Machine{})), &map[string]any{}); err != nil {
		t.Error(err)
	}
	if err := yaml.UnmarshalStrict([]byte(fill("cni.conflist", Machine{})), &map[string]any{}); err != nil {
		t.Error(err)
	}
}

func TestWithoutADriverThereIsNoStorage(t *testing.T) {
	if _, err := Find(All(Machine{}), Driver); err == nil {
		t.Error("there is a driver without storage")
	}
	for _, name := range []string{Driver, SnapshotController, Snapshotter, Provisioner, Resizer} {
		if _, err := Find(All(Machine{Storage: true}), name); err != nil {
			t.Error(err)
		}
	}
}

func TestVersionFollowsWhatAComponentIsStartedWith(t *testing.T) {
	base := Component{Args: []string{"--a"}, Files: map[string]string{"/x": "1", "/y": "2"}}
	for _, test := range []struct {
		name    string
		program string
		other   Component
		same    bool
	}{
		{"nothing differs", "/bin/p", base, true},
		{"another program", "/bin/q", base, false},
		{"another argument", "/bin/p", Component{Args: []string{"--b"}, Files: base.Files}, false},
		{"another file's text", "/bin/p", Component{Args: base.Args, Files: map[string]string{"/x": "1", "/y": "3"}}, false},
		{"one file less", "/bin/p", Component{Args: base.Args, Files: map[string]string{"/x": "1"}}, false},
	} {
		if got := test.other.Version(test.program) == base.Version("/bin/p"); got != test.same {
			t.Errorf("%s: same is %v", test.name, got)
		}
	}
}

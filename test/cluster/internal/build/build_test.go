package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheClusterIsTheVersionThatItSays(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "kubernetes", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "k8s.io/kubernetes "+KubernetesVersion+"\n") {
		t.Errorf("kubernetes/go.mod requires another Kubernetes than %s", KubernetesVersion)
	}
	const want = "-X k8s.io/component-base/version.gitVersion=v1.36.3 " +
		"-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
	if got := kubernetesVersionFlags("v1.36.3"); got != want {
		t.Errorf("the flags are %s", got)
	}
}

func TestEachProgramIsBuiltFromOneModule(t *testing.T) {
	seen := map[string]bool{}
	for _, program := range Programs() {
		if seen[program] {
			t.Errorf("%s is built twice", program)
		}
		seen[program] = true
		if _, err := ModuleOf(program); err != nil {
			t.Error(err)
		}
	}
	if _, err := ModuleOf("kubeadm"); err == nil || !strings.Contains(err.Error(), "kube-apiserver") {
		t.Errorf("a program that there isn't: %v", err)
	}
}

func TestTestsAreNoSource(t *testing.T) {
	for path, want := range map[string]bool{
		"/c/main.go": true, "/c/go.mod": true, "/c/go.sum": true, "/c/a/b.go": true,
		"/c/main_test.go": false, "/c/README.md": false, "/c/files/x.yaml": false,
	} {
		if isSource(path) != want {
			t.Errorf("%s counts: %v", path, !want)
		}
	}
}

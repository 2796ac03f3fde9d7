package build

import (
	"strings"
	"testing"
)

func TestEachProgramBelongsToOneTarget(t *testing.T) {
	seen := map[string]bool{}
	for _, program := range Programs() {
		if seen[program] {
			t.Errorf("%s is built twice", program)
		}
		seen[program] = true
		if _, err := TargetOf(program); err != nil {
			t.Error(err)
		}
	}
	if _, err := TargetOf("kubeadm"); err == nil || !strings.Contains(err.Error(), "kube-apiserver") {
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

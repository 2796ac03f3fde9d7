package build

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestTheBuildSaysOfHowManyPackagesItHasCompiled(t *testing.T) {
	checkout := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(checkout, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// No package of this text is in Go's build cache yet.
	nonce := strconv.FormatInt(time.Now().UnixNano(), 10)
	write("go.mod", "module nonce.test/m\n\ngo 1.26.0\n")
	write("used/used.go", "package used\n\nconst Nonce = "+nonce+"\n")
	write("main.go", "package main\n\nimport \"nonce.test/m/used\"\n\nfunc main() { println(used.Nonce) }\n")

	b := &Builder{Checkout: checkout}
	target := Target{Packages: []string{"."}}
	var packages progress
	if got := packages.String(); got != "looking for what is to be compiled" {
		t.Errorf("before the build: %s", got)
	}
	if err := b.compile(t.Context(), target, filepath.Join(checkout, "bin"), &packages); err != nil {
		t.Fatal(err)
	}
	compiled, all := packages.compiled.Load(), packages.all.Load()
	if all < 2 || compiled != all {
		t.Errorf("%s, want all, and at least two", packages.String())
	}
	// Only the program itself, which Go's build cache doesn't count as built.
	if stale, err := b.stale(t.Context(), target); err != nil || stale > 1 {
		t.Errorf("after the build, %d packages are to be compiled, %v", stale, err)
	}
}

func TestABuildThatFailsSaysWhy(t *testing.T) {
	b := &Builder{Checkout: t.TempDir()}
	var packages progress
	if err := b.compile(t.Context(), Target{Packages: []string{"./none"}}, t.TempDir(), &packages); err == nil {
		t.Error("a package that there isn't was built")
	}
}

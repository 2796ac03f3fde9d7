// Package build makes the programs of the cluster from Go modules, or finds
// them in the cache.
package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lull-dev/lull/test/cluster/internal/cache"
	"github.com/lull-dev/lull/test/cluster/internal/report"
)

// A Builder builds programs of one checkout.
type Builder struct {
	Checkout string
	Cache    *cache.Cache
	Report   *report.Reporter
}

// Folder returns the folder with a target's programs, built if they need to be.
func (b *Builder) Folder(ctx context.Context, t Target) (string, error) {
	key, err := b.key(ctx, t)
	if err != nil {
		return "", err
	}
	return b.Cache.Get("bin", t.Name, key, func(temporary string) error {
		var packages progress
		return b.Report.Step("building "+t.Name, packages.String, func() error {
			if err := b.compile(ctx, t, temporary, &packages); err != nil {
				return fmt.Errorf("build %s: %w", t.Name, err)
			}
			return link(temporary, t.Links)
		})
	})
}

// Program returns the path of a program, built if it needs to be.
func (b *Builder) Program(ctx context.Context, name string) (string, error) {
	t, err := TargetOf(name)
	if err != nil {
		return "", err
	}
	folder, err := b.Folder(ctx, t)
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, name), nil
}

// HasDriver says whether the checkout holds the CSI driver. Without it there is
// a cluster without storage.
func (b *Builder) HasDriver() bool {
	_, err := os.Stat(filepath.Join(b.Checkout, Driver.Dir, "main.go"))
	return err == nil
}

// key hashes what a target's programs are built from.
func (b *Builder) key(ctx context.Context, t Target) (string, error) {
	version, err := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	words := slices.Concat([]string{string(version), t.LDFlags}, t.Packages, t.Links)
	var folders []string
	for _, dir := range append([]string{t.Dir}, t.Also...) {
		folders = append(folders, filepath.Join(b.Checkout, dir))
	}
	return cache.Key(words, folders, isSource)
}

func isSource(path string) bool {
	base := filepath.Base(path)
	return base == "go.mod" || base == "go.sum" ||
		strings.HasSuffix(base, ".go") && !strings.HasSuffix(base, "_test.go")
}

// link gives the only program in a folder more names.
func link(folder string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	programs := slices.DeleteFunc(entries, fs.DirEntry.IsDir)
	if len(programs) != 1 {
		return fmt.Errorf("%d programs in %s, want one to link to", len(programs), folder)
	}
	for _, name := range names {
		if err := os.Symlink(programs[0].Name(), filepath.Join(folder, name)); err != nil {
			return err
		}
	}
	return nil
}

// ModuleFolder returns the folder with a module's source, PATH@VERSION.
func ModuleFolder(ctx context.Context, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = os.TempDir() // outside any module, whose requirements would count
	output, err := cmd.Output()
	var answer struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(output, &answer); err != nil || jsonErr != nil {
		return "", fmt.Errorf("download %s: %w: %s", module, errors.Join(err, jsonErr), answer.Error)
	}
	return answer.Dir, nil
}

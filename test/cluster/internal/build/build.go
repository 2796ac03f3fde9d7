// Package build makes the programs of the cluster from Go modules, or finds
// them in the cache.
package build

import (
	"bufio"
	"bytes"
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
	"sync/atomic"

	"github.com/lull-dev/lull/test/cluster/internal/cache"
	"github.com/lull-dev/lull/test/cluster/internal/report"
)

// A Builder builds programs of one checkout.
type Builder struct {
	Checkout string
	Cache    *cache.Cache
	Report   *report.Reporter
}

// Folder returns the folder with a module's programs, built if they need to be.
func (b *Builder) Folder(ctx context.Context, m Module) (string, error) {
	key, err := b.key(ctx, m)
	if err != nil {
		return "", err
	}
	return b.Cache.Get("bin", m.Name, key, func(temporary string) error {
		var count atomic.Int64
		progress := func() string { return fmt.Sprintf("%d packages compiled anew", count.Load()) }
		what := "building " + m.Name
		if m.Cold != "" {
			what += " (" + m.Cold + " the first time)"
		}
		return b.Report.Step(what, progress, func() error {
			if err := b.compile(ctx, m, temporary, &count); err != nil {
				return fmt.Errorf("build %s: %w", m.Name, err)
			}
			return link(temporary, m.Links)
		})
	})
}

// Program returns the path of a program, built if it needs to be.
func (b *Builder) Program(ctx context.Context, name string) (string, error) {
	m, err := ModuleOf(name)
	if err != nil {
		return "", err
	}
	folder, err := b.Folder(ctx, m)
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

// key hashes what a module's programs are built from.
func (b *Builder) key(ctx context.Context, m Module) (string, error) {
	version, err := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	words := append([]string{string(version), m.Package, m.LDFlags}, m.Links...)
	var folders []string
	for _, dir := range append([]string{m.Dir}, m.Also...) {
		folders = append(folders, filepath.Join(b.Checkout, dir))
	}
	return cache.Key(words, folders, isSource)
}

func isSource(path string) bool {
	base := filepath.Base(path)
	return base == "go.mod" || base == "go.sum" ||
		strings.HasSuffix(base, ".go") && !strings.HasSuffix(base, "_test.go")
}

func (b *Builder) compile(ctx context.Context, m Module, folder string, count *atomic.Int64) error {
	// -v names each package as it is compiled: the only sign of progress that
	// the go command gives.
	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-trimpath",
		"-ldflags", strings.TrimSpace("-s -w "+m.LDFlags), "-o", folder+"/", m.Package)
	cmd.Dir = filepath.Join(b.Checkout, m.Dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	output, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var complaints bytes.Buffer
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if line := lines.Text(); strings.ContainsAny(line, " :") {
			fmt.Fprintln(&complaints, line)
		} else {
			count.Add(1)
		}
	}
	if err := cmd.Wait(); err != nil {
		return errors.Join(err, errors.New(strings.TrimSpace(complaints.String())))
	}
	return nil
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

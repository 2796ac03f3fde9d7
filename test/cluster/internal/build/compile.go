package build

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// progress is how far a build is. It may be read while the build goes on.
type progress struct{ compiled, all atomic.Int64 }

func (p *progress) String() string {
	all := p.all.Load()
	if all == 0 {
		return "looking for what is to be compiled"
	}
	return fmt.Sprintf("%d of %d packages compiled", p.compiled.Load(), all)
}

// compile builds a target's programs into a folder.
func (b *Builder) compile(ctx context.Context, t Target, folder string, packages *progress) error {
	stale, err := b.stale(ctx, t)
	if err != nil {
		return err
	}
	packages.all.Store(int64(stale))
	// -v names each package that is compiled, when that begins: the only sign of
	// progress that the go command gives.
	cmd := b.goCommand(ctx, t, "build", "-v", "-ldflags", strings.TrimSpace("-s -w "+t.LDFlags), "-o", folder+"/")
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
			packages.compiled.Add(1)
		}
	}
	if err := cmd.Wait(); err != nil {
		return errors.Join(err, errors.New(strings.TrimSpace(complaints.String())))
	}
	return nil
}

// stale counts the packages that are to be compiled: of all that a target's
// programs consist of, those that Go's build cache doesn't hold yet. It is the
// most that can come: where a package turns out as it was, those that import it
// are taken from the cache. Asking takes seconds, and downloads what is missing
// of the modules, which the build would do otherwise.
func (b *Builder) stale(ctx context.Context, t Target) (int, error) {
	output, err := b.goCommand(ctx, t, "list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}").Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(failed.Stderr))
		}
		return 0, fmt.Errorf("go list: %w", err)
	}
	return len(bytes.Fields(output)), nil
}

// goCommand is a run of the go command on a target's packages. What it compiles
// differently from the Makefile, by another CGO_ENABLED or by -trimpath, could
// not be shared with it: Kubernetes' libraries would be compiled once for the
// cluster and once more for the operator and its tests.
func (b *Builder) goCommand(ctx context.Context, t Target, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", append(args, t.Packages...)...)
	cmd.Dir = filepath.Join(b.Checkout, t.Dir)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	return cmd
}

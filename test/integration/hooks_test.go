package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// held quiets by a command that keeps a mark for as long as it holds.
func (fc *fakeCluster) held(spec *v1alpha1.VolumeBackupSpec) { fc.heldBy(holds)(spec) }

// The scripts of holds. $mark is the file that stands while it holds.
const (
	holds         = `: >"$mark"; echo HELD; if timeout 60 cat >/dev/null && [ -e "$mark" ]; then echo STILL_HELD; fi; rm -f "$mark"`
	neverHolds    = `echo "the lock is taken" >&2; exit 1`
	losesTheLock  = `: >"$mark"; echo HELD; timeout 60 cat >/dev/null; rm -f "$mark"`
	endsTooEarly  = `: >"$mark"; echo HELD; rm -f "$mark"`
	freezesSilent = `: >"$mark"; timeout 60 cat >/dev/null; rm -f "$mark"`
)

// heldBy quiets by a script.
func (fc *fakeCluster) heldBy(script string) framework.Change {
	return func(spec *v1alpha1.VolumeBackupSpec) {
		framework.Quiesce(spec).Hold = &v1alpha1.HookCommand{Command: fc.command(`trap '' PIPE HUP; mark="$marks/$POD.$$"; ` + script)}
	}
}

// hooked quiets by a pair of hooks, the first of which leaves a mark that the
// second removes.
func (fc *fakeCluster) hooked(spec *v1alpha1.VolumeBackupSpec) {
	fc.hookedBy(`echo $$ >"$mark"`, `rm -f "$mark"`)(spec)
}

func (fc *fakeCluster) hookedBy(pre, post string) framework.Change {
	return func(spec *v1alpha1.VolumeBackupSpec) {
		q := framework.Quiesce(spec)
		q.Pre = &v1alpha1.HookCommand{Command: fc.command(`: pre; mark="$marks/$POD.hooks"; ` + pre)}
		q.Post = &v1alpha1.HookCommand{Command: fc.command(`: post; mark="$marks/$POD.hooks"; ` + post)}
	}
}

func (fc *fakeCluster) command(script string) []string {
	return []string{"/bin/sh", "-c", fmt.Sprintf("marks=%q; %s", fc.marks, script)}
}

// soon is a timeout that a test waits for: far more than a busy machine takes
// from an intent to its first command, as an attempt that begins too late is
// given up before it freezes anything.
const soon = 8 * time.Second

// touch makes a file that hooks find beside their marks.
func (fc *fakeCluster) touch(name string) {
	fc.Helper()
	fc.must(os.WriteFile(filepath.Join(fc.marks, "..", name), nil, 0o600))
}

// frozen are the marks that stand now, each with the process that left it. A
// hold's mark carries its process in its name, and ends with that.
func (fc *fakeCluster) frozen() []string {
	files, err := filepath.Glob(filepath.Join(fc.marks, "*"))
	if err != nil {
		panic(err)
	}
	var marks []string
	for _, file := range files {
		if holder := strings.TrimPrefix(filepath.Ext(file), "."); holder != "hooks" && !lives(holder) {
			continue
		}
		if text, err := os.ReadFile(file); err == nil {
			marks = append(marks, filepath.Base(file)+" "+strings.TrimSpace(string(text)))
		}
	}
	return marks
}

// lives is true for a process of this machine that has not ended.
func lives(id string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", id, "stat"))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

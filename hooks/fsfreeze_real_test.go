//go:build real

package hooks

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fileSystems are two volumes, of ext4 and of XFS, each on a block device, in a mount
// namespace of their own. Nothing else of the machine that could be frozen is where a
// script is sent to.
type fileSystems struct {
	// root is a folder in memory where all is, marker the file of the recipe.
	root, marker string
	// fewer is where to make a folder of a few programs.
	fewer string
	// environment has programs that tell which files were sent to the disk, that thaw
	// slowly where there is a file slow, and not at all where there is one jammed, and
	// that are killed when they have frozen where there is one killed.
	environment []string
	// folders are what a hold freezes, thaw is what thaws after it.
	folders []string
	thaw    string
	// inside runs for as long as the namespace is there; wrap is what a hold runs by.
	inside *exec.Cmd
	wrap   []string
}

// stubs stand before the real programs.
var stubs = map[string]string{
	"sync": `#!/bin/sh
echo "$@" >>"$ROOT/synced"
PATH=${PATH#*:} exec sync "$@"
`,
	"fsfreeze": `#!/bin/sh
PATH=${PATH#*:}
if [ "$1" = --unfreeze ]; then
  if [ -e "$ROOT/slow" ]; then sleep 0.2; fi
  if [ -e "$ROOT/jammed" ]; then exit 1; fi
elif [ -e "$ROOT/killed" ]; then
  fsfreeze "$@"
  kill -KILL $$
fi
exec fsfreeze "$@"
`,
}

const makeVolumes = `set -e
mount -t tmpfs none "$ROOT"
cd "$ROOT"
mkdir a b folder memory bin
mount -t tmpfs none memory
truncate -s 64M a.img
truncate -s 300M b.img
mkfs.ext4 -q -F a.img
mkfs.xfs -q b.img
for v in a b; do mount -o loop $v.img $v; done
mkdir a/folder
echo ready
exec cat
`

func aFileSystem(t *testing.T) *fileSystems {
	t.Helper()
	mkfs := os.Getenv("MKFS")
	if mkfs == "" {
		t.Fatal("MKFS isn't the folder of programs that make file systems: run make test-real")
	}
	libraries, _ := filepath.Glob(filepath.Join(mkfs, "lib/*-linux-gnu"))
	more, _ := filepath.Glob(filepath.Join(mkfs, "usr/lib/*-linux-gnu"))
	f := &fileSystems{root: t.TempDir(), fewer: t.TempDir(), marker: filepath.Join("/dev/shm", "lull-test-"+aPort())}
	f.environment = []string{
		"ROOT=" + f.root, "LD_LIBRARY_PATH=" + strings.Join(append(libraries, more...), ":"),
		"PATH=" + strings.Join([]string{filepath.Join(f.root, "bin"), os.Getenv("PATH"), "/usr/sbin", "/sbin", filepath.Join(mkfs, "usr/sbin"), filepath.Join(mkfs, "sbin")}, ":"),
	}
	f.inside = exec.Command("unshare", "--mount", "--propagation", "slave", "/bin/sh", "-c", makeVolumes)
	f.inside.Env, f.inside.Stderr = f.environment, os.Stderr
	in, _ := f.inside.StdinPipe()
	out, _ := f.inside.StdoutPipe()
	if err := f.inside.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = f.kill()
		in.Close()
		_ = f.inside.Wait() // the volumes go with their namespace
		_ = os.Remove(f.marker)
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("no volumes: %q, %v. It takes root, and loop devices", line, err)
	}
	for name, script := range stubs {
		if err := f.run("cat >bin/" + name + " <<'END'\n" + script + "END\nchmod 755 bin/" + name); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// in is a command inside of the namespace.
func (f *fileSystems) in(command ...string) []string {
	return append([]string{"nsenter", "--mount=/proc/" + fmt.Sprint(f.inside.Process.Pid) + "/ns/mnt"}, command...)
}

// begin begins a script inside, in the folder that all is in.
func (f *fileSystems) begin(script string) *trying {
	return begin(f.in("/bin/sh", "-c", "cd \"$ROOT\" && { "+script+"\n}"), f.environment)
}

// run runs a script inside to its end.
func (f *fileSystems) run(script string) error {
	h := f.begin(script)
	h.in.Close()
	if _, err := h.said(); err != nil {
		return fmt.Errorf("%s: %w", script, err)
	}
	if h.err != nil {
		return fmt.Errorf("%s: %w: %s", script, h.err, h.stderr.last())
	}
	return nil
}

func (f *fileSystems) start(...string) error {
	f.folders, f.wrap = []string{f.at("a"), f.at("b")}, nil
	return errors.Join(f.run(`rm -f synced slow jammed killed "`+f.marker+`"; : >synced`), f.written())
}

// kill thaws all, whoever froze it.
func (f *fileSystems) kill() error {
	return f.run(`rm -f slow jammed; for v in a b; do fsfreeze --unfreeze $v 2>/dev/null; done; umount folder 2>/dev/null; true`)
}

func (f *fileSystems) at(name string) string { return filepath.Join(f.root, name) }

func (f *fileSystems) env() []string { return f.environment }

func (f *fileSystems) thawedBy(script string) { f.thaw = script }

func (f *fileSystems) place(command []string) []string {
	return f.in(slices.Concat(f.wrap, command, []string{f.marker}, f.folders)...)
}

// written wants writes to be done, blocked wants them to wait in all folders.
func (f *fileSystems) written() error { return f.run("touch a/row b/row") }

func (f *fileSystems) blocked() error {
	for _, v := range []string{"a", "b"} {
		write := f.begin("touch " + v + "/row")
		select {
		case <-write.lines:
			return fmt.Errorf("a write to %s is done, %w", v, write.err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// recovered has what a killed hold left frozen thawed.
func (f *fileSystems) recovered() error {
	h := begin(f.in(slices.Concat([]string{"/bin/sh", "-c", f.thaw, f.marker}, f.folders)...), f.environment)
	defer h.end()
	_, err := h.said()
	return errors.Join(err, h.err)
}

// marked wants the marker to be there, unmarked to be gone.
func (f *fileSystems) marked() error { _, err := os.Stat(f.marker); return err }

func (f *fileSystems) unmarked() error {
	if f.marked() == nil {
		return errors.New("the marker is there")
	}
	return nil
}

// refused wants a hold of a folder to be refused, and nothing to be frozen.
func (f *fileSystems) refused(hold holder, folder, why string) error {
	f.folders = []string{f.at("b"), folder}
	return errors.Join(hold(forever).refuses(why), f.written(), f.unmarked(), f.start())
}

func (f *fileSystems) trials() []trial {
	return []trial{
		{"refuses a folder of a file system", func(hold holder) error {
			err := f.run("mount --bind a/folder folder")
			return errors.Join(err, f.refused(hold, f.at("folder"), "is only the folder /folder"), f.run("umount folder"))
		}},
		{"refuses a file system that is elsewhere too", func(hold holder) error {
			err := f.run("mount --bind a/folder folder")
			return errors.Join(err, f.refused(hold, f.at("a"), "is mounted at "+f.at("folder")), f.run("umount folder"))
		}},
		{"refuses what is no mount", func(hold holder) error { return f.refused(hold, f.at("a/folder"), "no volume is mounted") }},
		{"refuses a file system without a device", func(hold holder) error { return f.refused(hold, f.at("memory"), "block device") }},
		{"refuses a container without fsfreeze", func(hold holder) error {
			few, err := without(f.fewer)
			f.wrap = []string{"env", "PATH=" + few}
			return errors.Join(err, f.refused(hold, f.at("a"), "isn't in this container"))
		}},
		{"refuses a container without the right", func(hold holder) error {
			f.wrap = []string{"setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"}
			return f.refused(hold, f.at("a"), "SYS_ADMIN")
		}},
		{"refuses where it can't keep in mind that it freezes", func(hold holder) error {
			marker := f.marker
			defer func() { f.marker = marker }()
			f.marker = "/dev/shm/none/marker"
			return f.refused(hold, f.at("a"), "/dev/shm/none/marker")
		}},
		{"nothing is written while it holds", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), f.blocked(), f.marked(), h.testifies(), f.written(), f.unmarked(), f.run("grep -q "+f.at("b")+" synced"))
		}},
		{"a copy needs no recovery", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), f.run("cp --sparse=always a.img copy && e2fsck -fn copy; code=$?; rm copy; exit $code"), h.testifies())
		}},
		{"is lost by another's thaw", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), f.run("fsfreeze --unfreeze b"), h.denies(), f.kill(), f.start())
		}},
		{"is lost by another's thaw and freeze", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), f.run("fsfreeze --unfreeze b; sleep 0.2; fsfreeze --freeze b"), h.denies(), f.kill(), f.start())
		}},
		{"leaves alone what somebody else has frozen", func(hold holder) error {
			err := f.run("fsfreeze --freeze b")
			return errors.Join(err, hold(forever).refuses("is frozen already"), f.unmarked(), f.run("touch a/row"), f.recovered(), f.run("fsfreeze --unfreeze b"))
		}},
		{"is thawed after it was killed", func(hold holder) error {
			h := hold(forever)
			err := h.held()
			h.end()
			_, ended := h.said() // whoever is left doesn't keep its streams
			again := errors.Join(f.blocked(), hold(forever).refuses("is frozen already"), f.marked())
			return errors.Join(err, ended, again, f.recovered(), f.written(), f.unmarked(), f.recovered())
		}},
		{"is thawed after its fsfreeze was killed", func(hold holder) error {
			err := f.run(": >killed")
			return errors.Join(err, hold(forever).refuses(""), f.written(), f.start())
		}},
		{"doesn't testify where it can't thaw", func(hold holder) error {
			h := hold(forever)
			err := errors.Join(h.held(), f.run(": >jammed"), h.denies(), f.marked(), f.run("rm jammed"))
			return errors.Join(err, f.recovered(), f.written())
		}},
		{"ends at its limit", func(hold holder) error {
			h := hold(time.Second)
			return errors.Join(h.held(), h.lost(), f.written(), f.unmarked())
		}},
		{"thaws to its end, whatever signals come", func(hold holder) error {
			h := hold(forever)
			err := errors.Join(h.held(), f.run(": >slow"))
			for range 3 {
				err = errors.Join(err, syscall.Kill(-h.cmd.Process.Pid, syscall.SIGTERM), f.run("sleep 0.1"))
			}
			return errors.Join(err, h.lost(), f.written(), f.start())
		}},
		{"ends with who listens", func(hold holder) error {
			h := hold(forever)
			return errors.Join(h.held(), h.vanishes(), f.written())
		}},
		{"ends where nobody hears that it holds", func(hold holder) error {
			h := hold(forever)
			h.out.Close()
			_, err := h.said()
			return errors.Join(err, f.written())
		}},
	}
}

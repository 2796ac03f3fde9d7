package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/hooks/hookstest"
)

// aPair leaves what its two hooks did in the file $LOG.
func aPair() hooks.Target { return hooked(`echo pre >>"$LOG"`, `echo post >>"$LOG"`) }

// mortal is the executor of a manager that can die: its streams break, and it does
// no more.
type mortal struct {
	hooks.Executor
	life context.Context
}

func (m mortal) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if m.life.Err() != nil {
		return errors.New("the manager is dead")
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(m.life, end)()
	return m.Executor.Exec(ctx, c, command, s)
}

// aDeadManager has begun to quiet a target that was to be thawed after a while, and
// died.
func aDeadManager(t *testing.T, e hooks.Executor, thawed time.Duration, target hooks.Target) {
	t.Helper()
	life, die := context.WithCancel(t.Context())
	if _, err := beginBy(t, mortal{e, life}, 10*time.Second, thawed, target); err != nil {
		t.Fatal(err)
	}
	die()
}

// says waits until the log says no more and no less than that.
func says(t *testing.T, log string, words ...string) {
	t.Helper()
	want := strings.Join(words, " ")
	for range 400 {
		if strings.Join(lines(t, log), " ") == want {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Errorf("the hooks did %q, want %q", lines(t, log), want)
}

// marked are the processes of a mark, as a person finds them.
func marked(t *testing.T, mark hooks.Mark) string {
	t.Helper()
	found, err := exec.Command("pgrep", "-f", "lull=(watch\\.)?"+string(mark)+"\\.").Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(found))
}

// ofShell runs everything by another shell than that of this machine.
type ofShell struct {
	hooks.Executor
	shell string
}

func (o ofShell) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	var by []string
	for _, word := range command {
		by = append(by, strings.ReplaceAll(word, "/bin/sh", o.shell))
	}
	return o.Executor.Exec(ctx, c, by, s)
}

// shells are several, each by a name that says it is sh. Those beside this machine's
// are looked for in the folder SHELLS, too, and where that is named none may be missing.
func shells(t *testing.T) map[string]hooks.Executor {
	t.Helper()
	all := map[string]hooks.Executor{"sh": &hookstest.Executor{}}
	unpacked := os.Getenv("SHELLS")
	t.Setenv("PATH", strings.Join([]string{os.Getenv("PATH"), unpacked + "/bin", unpacked + "/usr/bin"}, ":"))
	for _, name := range []string{"bash", "busybox", "mksh", "zsh"} {
		program, err := exec.LookPath(name)
		if err != nil && unpacked != "" {
			t.Fatal(err)
		} else if err != nil {
			continue
		}
		path := filepath.Join(t.TempDir(), "sh")
		if err := os.Symlink(program, path); err != nil {
			t.Fatal(err)
		}
		all[name] = ofShell{&hookstest.Executor{}, path}
	}
	return all
}

// gone waits until nothing of a mark runs.
func gone(t *testing.T, mark hooks.Mark) {
	t.Helper()
	for range 100 {
		if marked(t, mark) == "" {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Errorf("%s lives on", marked(t, mark))
}

// lastIs waits until the log ends so.
func lastIs(t *testing.T, log, word string) {
	t.Helper()
	for range 200 {
		if got := lines(t, log); len(got) > 0 && got[len(got)-1] == word {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Errorf("the log doesn't end with %q", word)
}

// withoutWatchman answers watchmen with an error, and nothing else.
type withoutWatchman struct {
	hooks.Executor
	err error
}

func (w withoutWatchman) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if strings.HasPrefix(command[3], "lull=watch.") {
		return w.err
	}
	return w.Executor.Exec(ctx, c, command, s)
}

// Processes end while they are looked through. A shell that reads of one that has just
// ended must come to an end as well.
func TestWhoEndsWhileItIsLookedAtHoldsNobody(t *testing.T) {
	for name, e := range shells(t) {
		t.Run(name, func(t *testing.T) {
			// It takes a shell a second to read of it.
			looked := exec.Command("sh", "-c", "read word", strings.Repeat("0\n", 1<<15), strings.Repeat("0\n", 1<<15))
			if _, err := looked.StdinPipe(); err != nil {
				t.Fatal(err)
			}
			if err := looked.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				ended <- hooks.EndLeftover(t.Context(), e, hooks.Container{Pod: "a"}, uidOf("a"), mark)
			}()
			by := readerOf(t, fmt.Sprintf("/proc/%d/cmdline", looked.Process.Pid))
			_ = syscall.Kill(by, syscall.SIGSTOP)
			_ = looked.Process.Kill()
			_ = looked.Wait()
			_ = syscall.Kill(by, syscall.SIGCONT)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// readerOf is the process that has a file for its input.
func readerOf(t *testing.T, file string) int {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		inputs, err := filepath.Glob("/proc/[0-9]*/fd/0")
		if err != nil {
			t.Fatal(err)
		}
		for _, input := range inputs {
			if of, err := os.Readlink(input); err == nil && of == file {
				process, _ := strconv.Atoi(strings.Split(input, "/")[2])
				return process
			}
		}
	}
	t.Fatalf("nobody reads %s", file)
	return 0
}

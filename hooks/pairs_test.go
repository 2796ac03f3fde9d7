package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	if isWatchman(command) {
		return w.err
	}
	return w.Executor.Exec(ctx, c, command, s)
}

// Processes end while they are looked through. A shell that reads of one that has just
// ended must come to an end as well.
func TestWhoEndsWhileItIsLookedAtHoldsNobody(t *testing.T) {
	for name, e := range shells(t) {
		t.Run(name, func(t *testing.T) {
			looked := exec.Command("sleep", "infinity")
			looked.Args[0] = strings.Repeat("a line\n", 10)
			if err := looked.Start(); err != nil {
				t.Fatal(err)
			}
			pause := aPause(t, e, `do words="$words$line"`, fmt.Sprintf(`[ "$dir" = /proc/%d ]`, looked.Process.Pid))
			ended := make(chan error, 1)
			go func() {
				ended <- hooks.EndLeftover(t.Context(), pause, hooks.Container{Pod: "a"}, uidOf("a"), mark)
			}()
			pause.began(t)
			_ = looked.Process.Kill()
			_ = looked.Wait()
			pause.over(t)
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// pausing has scripts stand still after some words of theirs, where a condition is
// true, until the pause is over.
type pausing struct {
	hooks.Executor
	after, where, file string
}

func aPause(t *testing.T, e hooks.Executor, after, where string) *pausing {
	t.Helper()
	return &pausing{e, after, where, filepath.Join(t.TempDir(), "pause")}
}

func (p *pausing) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	var with []string
	stands := fmt.Sprintf(`; while %s && [ ! -e '%s.over' ]; do : >'%s'; sleep 0.01; done`, p.where, p.file, p.file)
	for _, word := range command {
		with = append(with, strings.ReplaceAll(word, p.after, p.after+stands))
	}
	return p.Executor.Exec(ctx, c, with, s)
}

func (p *pausing) began(t *testing.T) {
	t.Helper()
	for range 400 {
		if _, err := os.Stat(p.file); err == nil {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Error("nothing stands still")
}

func (p *pausing) over(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(p.file+".over", nil, 0o600); err != nil {
		t.Error(err)
	}
}

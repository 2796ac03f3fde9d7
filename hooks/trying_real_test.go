//go:build real

package hooks

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// trying is a held session of a script.
type trying struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.ReadCloser
	lines  chan string // closed when it has ended
	words  words       // as a session has them
	stderr tail
	err    error
}

// begin runs a command in a session of its own, as a container runtime does.
func begin(command, env []string) *trying {
	h := &trying{cmd: exec.Command(command[0], command[1:]...), lines: make(chan string, 100)}
	h.words = words{held: make(chan struct{}), still: make(chan struct{})}
	h.cmd.Env, h.cmd.Stderr = env, &h.stderr
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	h.in, _ = h.cmd.StdinPipe()
	h.out, _ = h.cmd.StdoutPipe()
	if h.err = h.cmd.Start(); h.err != nil {
		close(h.lines)
		return h
	}
	go func() {
		defer close(h.lines)
		for s := bufio.NewScanner(io.TeeReader(h.out, &h.words)); s.Scan(); {
			h.lines <- strings.TrimSpace(s.Text())
		}
		h.err = h.cmd.Wait()
	}()
	return h
}

// end ends what a trial has left of it, before it knows of the end of its input.
func (h *trying) end() {
	if h.cmd.Process != nil {
		_ = syscall.Kill(-h.cmd.Process.Pid, syscall.SIGKILL)
	}
	h.in.Close()
}

// keepsPassword wants the password on no command line of what it has started.
func (h *trying) keepsPassword() error {
	const password = "hush" // of all servers
	processes, err := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		stat, _ := os.ReadFile(filepath.Join(process, "stat")) // it may have ended
		_, rest, _ := strings.Cut(string(stat), ") ")
		if session := strings.Fields(rest); len(session) < 4 || session[3] != fmt.Sprint(h.cmd.Process.Pid) {
			continue
		}
		if line, _ := os.ReadFile(filepath.Join(process, "cmdline")); strings.Contains(string(line), password) {
			err = errors.Join(err, fmt.Errorf("the password stands on a command line: %q", line))
		}
	}
	return err
}

// held waits until it holds.
func (h *trying) held() error {
	for late := time.After(patience); ; {
		select {
		case line, ok := <-h.lines:
			if line == wordHeld {
				return h.keepsPassword()
			}
			if !ok {
				return fmt.Errorf("it ended without HELD: %w: %s", errors.Join(errNeverHeld, h.err), h.stderr.last())
			}
		case <-late:
			return errors.New("it doesn't say HELD")
		}
	}
}

// uses waits until it holds, and wants it to have told of these folders, by their names
// without links, and of no others. It tells of ? where it doesn't know.
func (h *trying) uses(folders ...string) error {
	if err := h.held(); err != nil {
		return err
	}
	told := slices.Sorted(slices.Values(h.words.folders()))
	if slices.Sort(folders); !slices.Equal(told, folders) {
		return fmt.Errorf("it uses %q, and tells of %q", folders, told)
	}
	return nil
}

// said is all that it says from now on, once it has ended.
func (h *trying) said() ([]string, error) {
	var all []string
	for late := time.After(patience); ; {
		select {
		case line, ok := <-h.lines:
			if !ok {
				return all, nil
			}
			all = append(all, line)
		case <-late:
			return all, errors.New("it doesn't end")
		}
	}
}

// waits wants it to say what it waits for.
func (h *trying) waits(what string) error {
	return eventually("it waits", func() error {
		if said := h.stderr.last(); !strings.Contains(said, what) {
			return fmt.Errorf("it doesn't say %q: %q", what, said)
		}
		return nil
	})
}

// testifies ends its input, and wants its word.
func (h *trying) testifies() error {
	h.in.Close()
	said, err := h.said()
	if err == nil && !slices.Contains(said, wordStillHeld) {
		err = fmt.Errorf("it says %q: %s", said, h.stderr.last())
	}
	return err
}

// denies ends its input, and wants its end without its word.
func (h *trying) denies() error {
	h.in.Close()
	return h.lost()
}

// lost wants its end without its word.
func (h *trying) lost() error {
	said, err := h.said()
	if slices.Contains(said, wordStillHeld) {
		err = errors.Join(err, errors.New("it says STILL_HELD, which it can't know"))
	}
	return err
}

// refuses wants its end with a reason, and never HELD.
func (h *trying) refuses(why string) error {
	said, err := h.said()
	if slices.Contains(said, wordHeld) || slices.Contains(said, wordStillHeld) {
		err = errors.Join(err, fmt.Errorf("it says %q", said))
	}
	if err == nil && !strings.Contains(h.stderr.last(), why) {
		err = fmt.Errorf("it should say %q, and says %q", why, h.stderr.last())
	}
	return err
}

// vanishes is the end of whoever listens: nobody reads what it says any more.
func (h *trying) vanishes() error {
	h.out.Close()
	h.in.Close()
	_, err := h.said()
	return err
}

// without makes a folder with the programs of a container that has no client, in another.
func without(folder string) (string, error) {
	few := filepath.Join(folder, "few")
	if err := os.MkdirAll(few, 0o755); err != nil {
		return "", err
	}
	for _, program := range []string{"sh", "timeout", "cat", "sync", "rm", "rmdir"} {
		at, err := exec.LookPath(program)
		if err == nil {
			err = os.Symlink(at, filepath.Join(few, program))
		}
		if err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
	}
	return few, nil
}

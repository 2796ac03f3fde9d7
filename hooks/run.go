package hooks

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lull-dev/lull/snapshot/limits"
)

const (
	// messageCap is how much of it a message carries, in bytes.
	messageCap = 1 << 10
	// killTimeout bounds the command that ends another.
	killTimeout = 5 * time.Second
	// killAgain is how long it is waited before it is looked for it again.
	killAgain = 100 * time.Millisecond
)

// Mark names what runs for one attempt of one backup. It stands in the command
// line of everything that we run, so that whoever takes the attempt up after a
// crash can find what is left of it and end it. It has no characters that a
// shell takes for others.
type Mark string

// process is a command under way in a container. A shell that carries the mark
// stays its parent and the leader of its session; the runtime doesn't end a
// command whose client has gone. Where there is no shell the command runs as
// it is.
type process struct {
	executor  Executor
	container Container
	mark      Mark
	// isMarked: the command is a shell that carries the mark itself.
	isMarked bool
	// isWatched: the command refuses to begin without the watchman of its attempt.
	isWatched bool
	stderr    tail
}

// asChild runs the command without becoming it, as a shell would do with the
// last one.
const asChild = `"$@"; exit $?`

//go:embed watched.sh
var watchedScript string

// asWatched is watchedScript as it is sent: asChild, where a watchman waits.
var asWatched = compact(watchedScript)

func (p *process) wrapped(command []string) []string {
	script := asChild
	if p.isWatched {
		script = asWatched
	}
	return append([]string{"/bin/sh", "-c", script, p.mark.word()}, command...)
}

// word is the mark as it stands in a command line. Its last character bounds
// it: where command lines are compared nothing else does.
func (m Mark) word() string { return "lull=" + string(m) + "." }

// errPrintsTooMuch breaks the stream of a command. What is left of it is ended as
// that of any other whose stream broke.
var errPrintsTooMuch = fmt.Errorf("it printed more than %d KiB: have it write what nobody reads to /dev/null, or into a file", limits.KiB(limits.OutputBytes))

// ownWords is how much a watchman says itself, beside its post-hook.
const ownWords = len("HELD\nSTILL_HELD\n")

// run runs the command to its end, or that of ctx, or until it has printed too much.
func (p *process) run(ctx context.Context, command []string, in io.Reader, out io.Writer) error {
	ctx, breakOff := context.WithCancelCause(ctx)
	defer breakOff(nil)
	meter := &meter{left: limits.OutputBytes + ownWords, over: func() { breakOff(errPrintsTooMuch) }}
	streams := Streams{In: in, Out: meter.of(out), Err: meter.of(&p.stderr)}
	shell := command
	if !p.isMarked {
		shell = p.wrapped(command)
	}
	err := p.executor.Exec(ctx, p.container, shell, streams)
	if lacksShell(err) && !p.isMarked {
		err = p.executor.Exec(ctx, p.container, command, streams)
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// lacksShell is true where nothing has run because the container has no shell.
func lacksShell(err error) bool {
	return err != nil && !isExit(err) && strings.Contains(err.Error(), "/bin/sh") &&
		(strings.Contains(err.Error(), "no such file") || strings.Contains(err.Error(), "not found"))
}

//go:embed end.sh
var endScript string

// endMarked is endScript as it is sent.
var endMarked = compact(endScript)

// compact is a script without its comments, and what else no shell needs: it goes
// into the address of a request.
func compact(script string) string {
	var kept []string
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// exitLeft is the exit code of endMarked where something lives on.
const exitLeft = 9

// ErrNoShell says that nobody can look for a command in a container.
var ErrNoShell = errors.New("the container has no shell: nobody can look whether it has ended; it ends by its own limit, or with its pod")

// spareNone stands where endMarked expects a mark that it spares.
const spareNone = "-"

// kill ends the command with all of its session, where it outlived its client,
// and what has one of the other marks. It is true where there was something to
// end and all of it has ended.
func (p *process) kill(ctx context.Context, others ...Mark) (bool, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	command := []string{"/bin/sh", "-c", endMarked, spareNone, string(p.mark)}
	for _, mark := range others {
		command = append(command, string(mark))
	}
	var out tail
	err := p.executor.Exec(ctx, p.container, command, Streams{Out: &out, Err: io.Discard})
	if lacksShell(err) {
		return false, ErrNoShell
	}
	if exitedWith(exitLeft, err) {
		return false, fmt.Errorf("its processes %s can't be killed: they run as a user whom the container's may not signal without the capability KILL, or they wait for storage", out.last())
	}
	return err == nil && out.last() != "", err
}

// endNow ends the command and returns once it, or its stream, has ended: it is
// looked for until then, as it may only be beginning. It is true where the command was
// found, and errMayGoOn where neither was seen, at once where nobody can look.
func (p *process) endNow(ctx context.Context, ended <-chan struct{}) (found bool, err error) {
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	for {
		if found, err = p.kill(limit); found {
			return true, nil
		}
		if errors.Is(err, ErrNoShell) {
			return false, Join(errMayGoOn, err)
		}
		select {
		case <-ended:
			// Where the stream broke it may have outlived that.
			if found, err = p.kill(limit); err != nil {
				return false, Join(errMayGoOn, err)
			}
			return found, nil
		case <-limit.Done():
			return false, Join(errMayGoOn, err)
		case <-time.After(killAgain):
		}
	}
}

// endBroken ends a command whose stream broke. Where nothing of it is found it has
// ended, or not begun yet.
func (p *process) endBroken(ctx context.Context) (found bool, err error) {
	if found, err = p.kill(ctx); err != nil {
		return false, Join(errMayGoOn, err)
	}
	return found, nil
}

// meter counts what a command prints, to all of its streams.
type meter struct {
	mu   sync.Mutex
	left int
	over func()
}

func (m *meter) of(out io.Writer) io.Writer { return metered{out, m} }

func (m *meter) count(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left -= n; m.left < 0 {
		m.over()
	}
}

// metered is one stream. It never refuses: a command that can't print might never
// thaw.
type metered struct {
	io.Writer
	meter *meter
}

func (m metered) Write(b []byte) (int, error) {
	m.meter.count(len(b))
	return m.Writer.Write(b)
}

// tail keeps the last of what is written to it, at most limits.KeptOutputBytes. It
// never blocks its writer: a command that can't print might never thaw.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := b[max(0, len(b)-limits.KeptOutputBytes):]
	over := max(0, len(t.buf)+len(last)-limits.KeptOutputBytes)
	t.buf = append(t.buf[:0], t.buf[over:]...)
	t.buf = append(t.buf, last...)
	return len(b), nil
}

// printable is text as one line, in characters that can be printed.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	return strings.Join(strings.Fields(text), " ")
}

// last is the end of the output as one line of at most messageCap bytes, in
// characters that can be printed.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := printable(string(t.buf))
	start := max(0, len(s)-messageCap)
	for start < len(s) && !utf8.RuneStart(s[start]) {
		start++
	}
	return s[start:]
}

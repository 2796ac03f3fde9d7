package hooks

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	// outputCap is how much of a command's output is kept, in bytes.
	outputCap = 64 << 10
	// messageCap is how much of it a message carries, in bytes.
	messageCap = 1 << 10
	// killTimeout bounds the command that ends another.
	killTimeout = 5 * time.Second
)

// process is a command under way in a container. It is wrapped by a shell
// that tells its process id, so that it can be ended; the runtime doesn't end
// a command whose client has gone. Where there is no shell the command runs as
// it is.
type process struct {
	executor  Executor
	container Container
	pid       pidLine
	stderr    tail
}

// announce says the process id and becomes the command.
const announce = `echo "lull-pid $$" >&2; exec "$@"`

func wrap(command []string) []string {
	return append([]string{"/bin/sh", "-c", announce, "lull"}, command...)
}

// run runs the command to its end, or that of ctx.
func (p *process) run(ctx context.Context, command []string, in io.Reader, out io.Writer) error {
	p.pid.next = &p.stderr
	err := p.executor.Exec(ctx, p.container, wrap(command), Streams{In: in, Out: out, Err: &p.pid})
	if p.noShell(err) {
		err = p.executor.Exec(ctx, p.container, command, Streams{In: in, Out: out, Err: &p.stderr})
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// noShell is true where nothing has run because the container has no shell.
func (p *process) noShell(err error) bool {
	return err != nil && p.pid.id() == "" && strings.Contains(err.Error(), "/bin/sh") &&
		(strings.Contains(err.Error(), "no such file") || strings.Contains(err.Error(), "not found"))
}

// kill ends a command that outlived its client, with all of its group, where
// we can. It is for commands that should have ended: no error of it is news.
func (p *process) kill(ctx context.Context) bool {
	id := p.pid.id()
	if id == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	script := fmt.Sprintf("kill -KILL -- -%s 2>/dev/null || kill -KILL %s", id, id)
	return p.executor.Exec(ctx, p.container, []string{"/bin/sh", "-c", script}, Streams{Out: io.Discard, Err: io.Discard}) == nil
}

// pidLine takes the announced process id out of what it passes on.
type pidLine struct {
	mu   sync.Mutex
	next io.Writer
	head []byte
	pid  string
	done bool
}

func (l *pidLine) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return l.next.Write(b)
	}
	l.head = append(l.head, b...)
	line, rest, found := bytes.Cut(l.head, []byte("\n"))
	if !found && len(l.head) < messageCap {
		return len(b), nil
	}
	l.done = true
	if pid, ok := strings.CutPrefix(string(line), "lull-pid "); ok && found {
		l.pid = strings.TrimSpace(pid)
	} else {
		rest = l.head
	}
	_, err := l.next.Write(rest)
	return len(b), err
}

func (l *pidLine) id() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pid
}

// tail keeps the last of what is written to it, at most outputCap bytes. It
// never blocks its writer: a command that can't print might never thaw.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - outputCap; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

// last is the end of the output as one line of at most messageCap bytes.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.buf
	if len(s) > messageCap {
		s = s[len(s)-messageCap:]
	}
	return strings.Join(strings.Fields(strings.ToValidUTF8(string(s), "")), " ")
}

// failure joins what went wrong with the command's last words.
func failure(what string, err error, output ...*tail) error {
	for _, o := range output {
		if words := o.last(); words != "" {
			return fmt.Errorf("%s: %w: %s", what, err, words)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

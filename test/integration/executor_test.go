package integration

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/hooks/hookstest"
)

// containers run a manager's commands for as long as it lives, and write into
// the journal what is said.
type containers struct {
	processes hookstest.Executor
	m         *manager
}

func (e *containers) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if e.m.dead() {
		return errKilled
	}
	what := kindOf(command)
	e.m.say(fmt.Sprintf("run %s in %s", what, c.Pod))
	if e.m.dead() {
		return errKilled
	}
	e.m.fc.journal.add("run %s in %s/%s", what, c.Pod, c.Name)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.m.life, cancel)()
	if s.In != nil {
		s.In = &heard{Reader: s.In, end: func() {
			e.m.fc.journal.add("released %s", c.Pod)
			e.m.say("released " + c.Pod)
		}}
	}
	if s.Out != nil {
		s.Out = &listened{next: s.Out, line: func(word string) {
			if word == "HELD" || word == "STILL_HELD" {
				e.m.fc.journal.add("%s %s", word, c.Pod)
				if what == "watchman" && word == "STILL_HELD" {
					e.m.fc.journal.add("run post-hook in %s/%s", c.Pod, c.Name)
				}
				e.m.say(word + " " + c.Pod)
			}
		}}
	}
	err := e.processes.Exec(ctx, c, command, s)
	if e.m.dead() {
		return errKilled
	}
	e.m.fc.journal.add("end of %s in %s: %v", what, c.Pod, err)
	e.m.say(fmt.Sprintf("end of %s in %s", what, c.Pod))
	return err
}

// kindOf tells the hooks of this package apart.
func kindOf(command []string) string {
	script := command[len(command)-1]
	switch {
	case len(command) > 3 && strings.HasPrefix(command[3], "lull=watch."):
		return "watchman"
	case strings.Contains(script, ": pre;"):
		return "pre-hook"
	case strings.Contains(script, ": post;"):
		return "post-hook"
	case strings.Contains(command[2], "kill -s KILL"):
		return "kill"
	case strings.Contains(command[2], "command -v"):
		return "look"
	}
	return "hold"
}

// heard tells of what is said by an input: its end, or a word before it.
type heard struct {
	io.Reader
	end  func()
	once sync.Once
}

func (h *heard) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b)
	if n > 0 || err != nil {
		h.once.Do(h.end)
	}
	return n, err
}

// listened tells of each line of an output, before it is passed on.
type listened struct {
	next io.Writer
	line func(string)
	rest string
}

func (l *listened) Write(b []byte) (int, error) {
	l.rest += string(b)
	for {
		line, rest, found := strings.Cut(l.rest, "\n")
		if !found {
			return l.next.Write(b)
		}
		l.line(strings.TrimSpace(line))
		l.rest = rest
	}
}

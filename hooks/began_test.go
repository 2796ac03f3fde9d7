package hooks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/hooks/hookstest"
)

// What provably never ran froze nothing: its post-hook is run, and may fail.
func TestWhatNeverRanFrozeNothing(t *testing.T) {
	for name, c := range map[string]struct {
		pre     []string
		noShell bool
		// refused: the pod answers so to all commands, broken: to its pre-hook.
		refused, broken string
		thawed          bool
	}{
		"no such program":                      {pre: []string{"lull-freeze", "-f"}, thawed: true},
		"no such file":                         {pre: []string{"/nowhere/freeze"}, thawed: true},
		"a file that is no program":            {pre: []string{"/etc/passwd"}, thawed: true},
		"a folder":                             {pre: []string{"/etc"}, thawed: true},
		"no such program, without a shell":     {pre: []string{"lull-freeze"}, noShell: true, thawed: true},
		"no such program, by the shell":        {pre: []string{"/bin/sh", "-c", "lull-freeze -f /data"}, thawed: true},
		"no such file, by the shell":           {pre: []string{"/bin/sh", "-c", " /nowhere/freeze "}, thawed: true},
		"no shell for it":                      {pre: []string{"/bin/nosh", "-c", "freeze"}, thawed: true},
		"a script that may have frozen before": {pre: []string{"/bin/sh", "-c", "true; lull-freeze"}},
		"a script that ends with 127":          {pre: []string{"/bin/sh", "-c", "exit 127"}},
		"a script that ends with 126":          {pre: []string{"/bin/sh", "-c", "/etc/passwd || exit 126"}},
		"a program that ends with 127":         {pre: []string{"bash", "-c", "exit 127"}},
		"a program that lacks another":         {pre: []string{"nohup", "lull-freeze"}},
		"another failure":                      {pre: []string{"false"}},
		"a container that isn't there":         {pre: []string{"freeze"}, refused: `unable to upgrade connection: container not found ("db")`, thawed: true},
		"a container that has ended":           {pre: []string{"freeze"}, refused: "rpc error: code = Unknown desc = failed to exec in container: container is in CONTAINER_EXITED state", thawed: true},
		"nobody may":                           {pre: []string{"freeze"}, refused: `pods "a" is forbidden: User "x" cannot create resource "pods/exec"`, thawed: true},
		"a stream that broke":                  {pre: []string{"freeze"}, broken: "websocket: close 1006 (abnormal closure): unexpected EOF"},
		"a node that can't be reached":         {pre: []string{"freeze"}, broken: "error dialing backend: i/o timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			log := aLog(t)
			e := &hookstest.Executor{NoShell: c.noShell}
			if c.refused != "" {
				e.Refuse = map[string]error{"a": errors.New(c.refused)}
			}
			target := hooks.Target{
				Pod: "a", UID: uidOf("a"), Mark: mark, Method: v1alpha1.MethodHooks,
				Pre:  hooks.Command{Args: c.pre, Container: "db"},
				Post: hooks.Command{Args: []string{"bash", "-c", `echo post >>"$LOG"; false`}, Container: "db"},
			}
			executor := hooks.Executor(e)
			if c.broken != "" {
				executor = broken{e, errors.New(c.broken)}
			}
			q, err := begin(t, executor, 10*time.Second, target)
			if err == nil || strings.Contains(err.Error(), "it never ran") != c.thawed {
				t.Errorf("says %v", err)
			}
			if r := q.End(t.Context())[uidOf("a")]; r.Thawed != c.thawed || r.Testified {
				t.Errorf("%+v", r)
			}
			if ran := lines(t, log); c.refused == "" && len(ran) != 1 {
				t.Errorf("the post-hook was run %d times", len(ran))
			}
		})
	}
}

// broken answers hooks with an error, and nothing else.
type broken struct {
	hooks.Executor
	err error
}

func (b broken) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if isHook(command) {
		return b.err
	}
	return b.Executor.Exec(ctx, c, command, s)
}

func TestAHoldThatNeverRanFrozeNothing(t *testing.T) {
	for name, noShell := range map[string]bool{"in a container with a shell": false, "without a shell": true} {
		t.Run(name, func(t *testing.T) {
			target := holding("a", "")
			target.Hold.Args = []string{"lull-freeze"}
			q, err := begin(t, &hookstest.Executor{NoShell: noShell}, 10*time.Second, target)
			if err == nil {
				t.Fatal("no error")
			}
			if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || r.Testified || !strings.Contains(r.Err.Error(), "it never ran") {
				t.Errorf("%+v", r)
			}
		})
	}
}

// misleading ends the stream of what has begun with words that a runtime refuses
// by.
type misleading struct{ hooks.Executor }

func (b misleading) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if err := b.Executor.Exec(ctx, c, command, s); err != nil {
		return errors.New("no running task found")
	}
	return nil
}

func TestWhatHasSpokenHasRun(t *testing.T) {
	q, err := begin(t, misleading{&hookstest.Executor{}}, 10*time.Second, hooked(`echo frozen; exit 1`, `exit 1`))
	if err == nil || strings.Contains(err.Error(), "it never ran") {
		t.Errorf("says %v", err)
	}
	if r := q.End(t.Context())[uidOf("a")]; r.Thawed {
		t.Errorf("%+v", r)
	}
}

// One pod that lacks the program doesn't keep the others from being thawed.
func TestOfSeveralPodsOneLacksTheProgram(t *testing.T) {
	log := aLog(t)
	frozen := hooked(`echo pre >> "$LOG"`, `echo post >> "$LOG"`)
	lacking := frozen
	lacking.Pod, lacking.UID = "b", uidOf("b")
	lacking.Pre = hooks.Command{Args: []string{"lull-freeze"}}
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, frozen, lacking)
	if err == nil || !strings.Contains(err.Error(), "pod b") {
		t.Errorf("says %v", err)
	}
	for pod, r := range q.End(t.Context()) {
		if !r.Thawed {
			t.Errorf("%s: %+v", pod, r)
		}
	}
	if got := lines(t, log); len(got) < 2 || got[len(got)-1] != "post" {
		t.Errorf("ran %v", got)
	}
}

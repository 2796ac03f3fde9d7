package hooks_test

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	clientexec "k8s.io/client-go/util/exec"

	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/hooks/hookstest"
)

// hangs is a runtime that takes hooks, and begins them only once it goes on, whoever
// has given them up meanwhile.
type hangs struct {
	hooks.Executor
	asked, goesOn chan struct{}
	ended         chan error
}

func aHangingRuntime(e hooks.Executor) *hangs {
	return &hangs{e, make(chan struct{}), make(chan struct{}), make(chan error)}
}

func (h *hangs) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if !isHook(command) {
		return h.Executor.Exec(ctx, c, command, s)
	}
	close(h.asked)
	go func() {
		<-h.goesOn
		h.ended <- h.Executor.Exec(context.WithoutCancel(ctx), c, command, hooks.Streams{})
	}()
	<-ctx.Done()
	return ctx.Err()
}

// refuses has the runtime begin what it has taken, which must not freeze.
func (h *hangs) refuses(t *testing.T) {
	t.Helper()
	close(h.goesOn)
	var exit clientexec.CodeExitError
	if err := <-h.ended; !errors.As(err, &exit) || exit.Code != 4 {
		t.Errorf("a pre-hook that nobody watches over ended with %v", err)
	}
}

func TestAPreHookThatBeginsWhenAllIsOverRefuses(t *testing.T) {
	log, runtime := aLog(t), aHangingRuntime(&hookstest.Executor{})
	q, err := begin(t, runtime, beforeItsTime, aPair())
	if err == nil || !strings.Contains(err.Error(), "may go on") {
		t.Errorf("says %v", err)
	}
	q.End(t.Context())
	runtime.refuses(t)
	says(t, log, "post")
}

// Whoever else thaws what a dead manager asked for.
func TestAPreHookThatNobodyWatchesAnyMoreRefuses(t *testing.T) {
	for name, e := range shells(t) {
		for who, c := range map[string]struct {
			after time.Duration // when the watchman acts by itself
			thaws func(t *testing.T, target hooks.Target, log string)
		}{
			"the next manager": {time.Hour, func(t *testing.T, target hooks.Target, _ string) {
				if err := hooks.Thaw(t.Context(), e, target); err != nil {
					t.Error(err)
				}
			}},
			"the watchman of a next one that died": {time.Hour, func(t *testing.T, target hooks.Target, _ string) {
				life, die := context.WithCancel(t.Context())
				next := &diesAfter{mortal: mortal{e, life}, die: die}
				next.left.Store(1)
				if err := hooks.Thaw(t.Context(), next, target); err == nil {
					t.Error("it thawed")
				}
			}},
			"its watchman, right now": {time.Second, func(t *testing.T, _ hooks.Target, log string) { lastIs(t, log, "begun") }},
			"nobody": {time.Hour, func(t *testing.T, _ hooks.Target, _ string) {
				if out, err := exec.Command("pkill", "-KILL", "--oldest", "-f", "lull=watch\\."+string(mark)+"\\.").CombinedOutput(); err != nil {
					t.Fatal(err, string(out))
				}
			}},
		} {
			t.Run(name+", thawed by "+who, func(t *testing.T) {
				log, runtime := aLog(t), aHangingRuntime(e)
				target := hooked(`echo pre >>"$LOG"`, `echo begun >>"$LOG"; sleep 0.5; echo post >>"$LOG"`)
				life, die := context.WithCancel(t.Context())
				go func() {
					<-runtime.asked
					die()
				}()
				if _, err := beginBy(t, mortal{runtime, life}, 10*time.Second, c.after, target); life.Err() == nil {
					t.Fatal(err)
				}
				c.thaws(t, target, log)
				runtime.refuses(t)
				if did := lines(t, log); slices.Contains(did, "pre") {
					t.Errorf("the hooks did %q", did)
				}
			})
		}
	}
}

// A container in which no process may look at another's files quiets its application
// all the same.
func TestAPreHookThatMayNotLookBegins(t *testing.T) {
	q, err := begin(t, asNobody{&hookstest.Executor{}}, 10*time.Second, hooked("true", "true"))
	if err != nil {
		t.Error(err)
	}
	if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || !r.Testified {
		t.Errorf("%+v", r)
	}
}

// asNobody runs hooks as a user who may not look at others' processes.
type asNobody struct{ hooks.Executor }

func (n asNobody) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if isHook(command) {
		command = append([]string{"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"}, command...)
	}
	return n.Executor.Exec(ctx, c, command, s)
}

// Who sees nothing in /proc begins as without a watchman.
func TestAPreHookThatSeesNobodyBegins(t *testing.T) {
	log := aLog(t)
	q, err := begin(t, inAnEmptyProc{&hookstest.Executor{}}, 10*time.Second, aPair())
	if err != nil {
		t.Error(err)
	}
	q.End(t.Context())
	says(t, log, "pre", "post")
}

type inAnEmptyProc struct{ hooks.Executor }

func (n inAnEmptyProc) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if isHook(command) {
		command = append([]string{"unshare", "--mount", "--propagation", "slave", "/bin/sh", "-c", `mount -t tmpfs none /proc && exec "$@"`, "-"}, command...)
	}
	return n.Executor.Exec(ctx, c, command, s)
}

// A pre-hook that begins while what is left of its attempt is looked for is found.
func TestAPreHookThatBeginsWhileItIsLookedForIsEnded(t *testing.T) {
	for name, e := range shells(t) {
		t.Run(name, func(t *testing.T) {
			log, runtime := aLog(t), aHangingRuntime(e)
			life, die := context.WithCancel(t.Context())
			go func() {
				<-runtime.asked
				die()
			}()
			if _, err := beginBy(t, mortal{runtime, life}, 10*time.Second, time.Hour, hooked(`while :; do echo pre >>"$LOG"; sleep 0.05; done`, `:`)); life.Err() == nil {
				t.Fatal(err)
			}
			pause := aPause(t, e, "p=${dir#/proc/} words=", "true")
			ended := make(chan error, 1)
			go func() {
				ended <- hooks.EndLeftover(t.Context(), pause, hooks.Container{Pod: "a"}, uidOf("a"), mark)
			}()
			pause.began(t)
			close(runtime.goesOn)
			goesOn(t, log)
			pause.over(t)
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if left := marked(t, mark); left != "" {
				t.Fatalf("%s is left", left)
			}
			if err := <-runtime.ended; err == nil {
				t.Error("it ended by itself")
			}
		})
	}
}

// A stream that breaks says nothing of its command, and a runtime that hangs may begin
// that yet.
func TestAPreHookWhoseStreamBrokeIsNotThawedAtOnce(t *testing.T) {
	log, runtime := aLog(t), aHangingRuntime(&hookstest.Executor{})
	q, err := begin(t, breaks{runtime}, 10*time.Second, aPair())
	if err == nil {
		t.Error("no error")
	}
	if r := q.End(t.Context())[uidOf("a")]; r.Thawed {
		t.Errorf("%+v", r)
	}
	if err := hooks.Thaw(t.Context(), &hookstest.Executor{}, aPair()); err != nil {
		t.Error(err)
	}
	runtime.refuses(t)
	says(t, log, "post", "post")
}

// breaks is a runtime by which the streams of hooks end once they are asked for.
type breaks struct{ *hangs }

func (b breaks) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	if isHook(command) {
		go func() {
			<-b.asked
			end()
		}()
	}
	if err := b.hangs.Exec(ctx, c, command, s); err != nil {
		return errors.New("connection reset by peer")
	}
	return nil
}

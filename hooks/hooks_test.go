package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientexec "k8s.io/client-go/util/exec"
	"k8s.io/utils/clock"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/hooks/hookstest"
)

func TestHooksRunAroundTheCut(t *testing.T) {
	log := aLog(t)
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, hooked(`echo pre >> "$LOG"`, `echo post >> "$LOG"`))
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(t, log); len(got) != 1 || got[0] != "pre" {
		t.Errorf("before the cut: %v", got)
	}
	if r := q.End(t.Context())[uidOf("a")]; !r.Testified || !r.Thawed || r.Err != nil {
		t.Errorf("%+v", r)
	}
	if got := lines(t, log); len(got) != 2 || got[1] != "post" {
		t.Errorf("after the cut: %v", got)
	}
}

func TestThePostHookRunsOnEveryWayOut(t *testing.T) {
	for name, pre := range map[string]string{
		"the pre-hook failed":    `echo broken >&2; exit 7`,
		"the pre-hook timed out": `sleep 60`,
	} {
		t.Run(name, func(t *testing.T) {
			log := aLog(t)
			q, err := begin(t, &hookstest.Executor{}, beforeItsTime, hooked(pre, `echo post >> "$LOG"`))
			if err == nil {
				t.Fatal("no error")
			}
			if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || r.Testified {
				t.Errorf("%+v", r)
			}
			if got := lines(t, log); len(got) != 1 {
				t.Errorf("post-hook: %v", got)
			}
		})
	}
}

// beforeItsTime is when the time of a pre-hook is over: long after its watchman is
// there, on a busy machine too.
const beforeItsTime = 2 * time.Second

func TestAPreHookThatTimedOutCantWinLater(t *testing.T) {
	log := aLog(t)
	_, err := begin(t, &hookstest.Executor{}, beforeItsTime, hooked(`while :; do date +%N >> "$LOG"; sleep 0.05; done`, `true`))
	if err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("got %v", err)
	}
	stopped(t, log)
}

// A command that was asked for may begin when its time is over already.
func TestAPreHookThatBeginsLateIsKilled(t *testing.T) {
	log := aLog(t)
	e := late{&hookstest.Executor{}, beforeItsTime + time.Second}
	q, err := begin(t, e, beforeItsTime, hooked(`while :; do date +%N >> "$LOG"; sleep 0.05; done`, `true`))
	if err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("got %v", err)
	}
	if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || r.Testified {
		t.Errorf("%+v", r)
	}
	if len(lines(t, log)) == 0 {
		t.Error("it never began")
	}
	stopped(t, log)
}

// late begins hooks, and nothing else, only after a while, whether anybody
// waits for them or not.
type late struct {
	hooks.Executor
	by time.Duration
}

func (l late) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if isHook(command) {
		<-time.After(l.by)
	}
	return l.Executor.Exec(ctx, c, command, s)
}

// isHook is true for a hold or a hook, which carries the mark of its attempt.
func isHook(command []string) bool { return strings.HasPrefix(command[3], "lull="+string(mark)) }

// What nobody has seen the end of may freeze after the post-hook.
func TestAPreHookThatMayGoOnIsNotThawed(t *testing.T) {
	aLog(t)
	e := &hookstest.Executor{NoShell: true}
	q, err := begin(t, e, 200*time.Millisecond, hooks.Target{
		Pod: "a", UID: uidOf("a"), Mark: mark, Method: v1alpha1.MethodHooks,
		Pre: hooks.Command{Args: []string{"sleep", "20"}, Container: "db"}, Post: hooks.Command{Args: []string{"true"}, Container: "db"},
	})
	if err == nil || !strings.Contains(err.Error(), "may go on") || !errors.Is(err, hooks.ErrNoShell) {
		t.Errorf("got %v", err)
	}
	// The watchman, the command with a shell and without, and one look for it: none
	// finds more, and the thaw would only come later.
	if runs := e.Runs(); len(runs) != 4 {
		t.Errorf("it was looked for %d times", len(runs)-3)
	}
	if r := q.End(t.Context())[uidOf("a")]; r.Thawed {
		t.Errorf("%+v", r)
	}
}

// whatIsLeft begins a command as a manager does that then dies: nobody ends it.
func whatIsLeft(t *testing.T, of hooks.Target) {
	t.Helper()
	within := 10 * time.Second
	if of.Method == v1alpha1.MethodHooks {
		within = beforeItsTime
	}
	ctx, die := context.WithTimeout(t.Context(), within)
	defer die()
	t.Cleanup(func() { nothingIsLeft(t) })
	q, _ := hooks.Begin(ctx, ctx, time.Now().Add(time.Hour), forgetful{&hookstest.Executor{}}, clock.RealClock{}, []hooks.Target{of})
	if of.Method == v1alpha1.MethodHold && q.HeldAt().IsZero() {
		t.Fatal("it never held")
	}
}

// forgetful runs nothing that ends what was begun.
type forgetful struct{ hooks.Executor }

func (f forgetful) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if !strings.HasPrefix(command[3], "lull=") { // neither a hook nor a watchman
		return errors.New("the manager is dead")
	}
	return f.Executor.Exec(ctx, c, command, s)
}

func TestWhatIsLeftOfAnAttemptIsEnded(t *testing.T) {
	const forever = `while :; do date +%N >> "$LOG"; sleep 0.05; done`
	for name, target := range map[string]hooks.Target{
		"a hold that doesn't heed its input": holding("a", `echo HELD; `+forever),
		"a hold of several processes":        holding("a", `( `+forever+` ) & echo HELD; wait`),
		"a pre-hook":                         hooked(forever, `true`),
	} {
		t.Run(name, func(t *testing.T) {
			log := aLog(t)
			whatIsLeft(t, target)
			if err := hooks.EndLeftover(t.Context(), &hookstest.Executor{}, hooks.Container{Pod: "a"}, uidOf("a"), mark+"0"); err != nil {
				t.Error(err)
			}
			goesOn(t, log)
			if err := hooks.EndLeftover(t.Context(), &hookstest.Executor{}, hooks.Container{Pod: "a"}, uidOf("a"), mark); err != nil {
				t.Error(err)
			}
			stopped(t, log)
		})
	}
}

// powerless runs commands as a root that may not signal other users, as many
// containers do.
type powerless struct{ hooks.Executor }

func (p powerless) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	return p.Executor.Exec(ctx, c, append([]string{"setpriv", "--bounding-set", "-kill", "--"}, command...), s)
}

func TestAnotherUsersProcessIsNotKilled(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("only root can run another user's process: run the tests as root, as the cluster needs it too")
	}
	const stubborn = `trap "" HUP TERM; echo $$ >&3; echo HELD; while :; do sleep 0.1; done`
	for name, script := range map[string]string{
		"that replaced its parent":       `exec setpriv --reuid 65534 --clear-groups /bin/sh -c '` + stubborn + `' 3>"$LOG"`,
		"that has a parent of ours":      `setpriv --reuid 65534 --clear-groups /bin/sh -c '` + stubborn + `' 3>"$LOG"; exit`,
		"that has a session of its own":  `setsid --wait setpriv --reuid 65534 --clear-groups /bin/sh -c '` + stubborn + `' 3>"$LOG"; exit`,
		"that has another user's parent": `setpriv --reuid 65534 --clear-groups /bin/sh -c '/bin/sh -c "$0"; exit' '` + stubborn + `' 3>"$LOG"; exit`,
	} {
		t.Run(name, func(t *testing.T) {
			log := aLog(t)
			executor := powerless{&hookstest.Executor{}}
			q, err := begin(t, executor, 10*time.Second, holding("a", script))
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(lines(t, log)[0])
			if err != nil {
				t.Fatal(err)
			}
			left, _ := os.FindProcess(pid)
			defer func() { _ = left.Kill() }()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			if r := q.End(ctx)[uidOf("a")]; r.Thawed || !strings.Contains(r.Err.Error(), "can't be killed") {
				t.Errorf("it lives on and counts as %+v", r)
			}
			if err := hooks.EndLeftover(t.Context(), executor, hooks.Container{Pod: "a"}, uidOf("a"), mark); err == nil || !strings.Contains(err.Error(), fmt.Sprint(pid)) {
				t.Errorf("%d lives on, says %v", pid, err)
			}
			if err := hooks.EndLeftover(t.Context(), &hookstest.Executor{}, hooks.Container{Pod: "a"}, uidOf("a"), mark); err != nil {
				t.Error(err)
			}
			if err := left.Signal(syscall.Signal(0)); err == nil && !isZombie(pid) {
				t.Errorf("%d lives on though it could be killed", pid)
			}
		})
	}
}

func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestWhatAPreHookLeftOnPurposeStays(t *testing.T) {
	log := aLog(t)
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second,
		hooked(`while :; do date +%N >> "$LOG"; sleep 0.05; done </dev/null >/dev/null 2>&1 & echo $! > "$LOG.pid"`, `kill $(cat "$LOG.pid")`))
	if err != nil {
		t.Fatal(err)
	}
	if err := hooks.EndLeftover(t.Context(), &hookstest.Executor{}, hooks.Container{Pod: "a"}, uidOf("a"), mark); err != nil {
		t.Error(err)
	}
	goesOn(t, log)
	if r := q.End(t.Context())[uidOf("a")]; !r.Thawed {
		t.Errorf("%+v", r)
	}
	stopped(t, log)
}

func TestNobodyKnowsWhatIsLeftWhereThereIsNoShell(t *testing.T) {
	err := hooks.EndLeftover(t.Context(), &hookstest.Executor{NoShell: true}, hooks.Container{Pod: "a"}, uidOf("a"), mark)
	if !errors.Is(err, hooks.ErrNoShell) || !strings.Contains(err.Error(), "pod a") {
		t.Errorf("got %v", err)
	}
}

func TestAFailingPostHookIsNotThawed(t *testing.T) {
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, hooked(`true`, `echo "can't unlock" >&2; exit 1`))
	if err != nil {
		t.Fatal(err)
	}
	if r := q.End(t.Context())[uidOf("a")]; r.Thawed || r.Testified || !strings.Contains(r.Err.Error(), "can't unlock") {
		t.Errorf("%+v", r)
	}
}

func TestAPostHookHasALimitOfItsOwn(t *testing.T) {
	target := hooked(`true`, `sleep 10`)
	target.Post.Timeout = 300 * time.Millisecond
	const says = "did not end within 300ms"
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, target)
	if err != nil {
		t.Fatal(err)
	}
	if r := q.End(t.Context())[uidOf("a")]; r.Thawed || r.Err == nil || !strings.Contains(r.Err.Error(), says) {
		t.Errorf("%+v", r)
	}
	if err := hooks.Thaw(t.Context(), &hookstest.Executor{}, target); err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("after a crash: %v", err)
	}
}

func TestAContainerWithoutAShell(t *testing.T) {
	log := aLog(t)
	target := hooks.Target{Pod: "a", UID: uidOf("a"), Method: v1alpha1.MethodHooks,
		Pre: hooks.Command{Args: []string{"touch", log}}, Post: hooks.Command{Args: []string{"rm", log}}}
	q, err := begin(t, &hookstest.Executor{NoShell: true}, 10*time.Second, target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(log); err != nil {
		t.Errorf("the pre-hook did not run: %v", err)
	}
	if r := q.End(t.Context())[uidOf("a")]; !r.Testified {
		t.Errorf("%+v", r)
	}
}

func TestAHoldInAContainerWithoutAShell(t *testing.T) {
	for name, c := range map[string]struct {
		script            string
		thawed, testified bool
		says              string
	}{
		"heeds the end of its input": {script: `echo HELD; cat >/dev/null; echo STILL_HELD`, thawed: true, testified: true},
		"ends without the word":      {script: `echo HELD; cat >/dev/null`, thawed: true, says: "without STILL_HELD"},
		"goes on":                    {script: `echo HELD; exec sleep 3`, says: "the container has no shell"},
	} {
		t.Run(name, func(t *testing.T) {
			target := holding("a", "")
			target.Hold.Args = []string{"bash", "-c", c.script}
			q, err := begin(t, &hookstest.Executor{NoShell: true}, 10*time.Second, target)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			r := q.End(ctx)[uidOf("a")]
			if r.Thawed != c.thawed || r.Testified != c.testified {
				t.Errorf("%+v", r)
			}
			if c.says != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), c.says)) {
				t.Errorf("says %v, want %q", r.Err, c.says)
			}
		})
	}
}

func TestAChattySessionIsNotBlocked(t *testing.T) {
	q, err := begin(t, &hookstest.Executor{}, 20*time.Second, holding("a", `head -c 1000000 /dev/zero | tr '\0' x; echo; echo HELD; head -c 1000000 /dev/zero | tr '\0' x; cat >/dev/null; echo; echo STILL_HELD`))
	if err != nil {
		t.Fatal(err)
	}
	if r := q.End(t.Context())[uidOf("a")]; !r.Testified {
		t.Errorf("%.200v", r)
	}
}

func TestAFailureIsToldOnOneLine(t *testing.T) {
	target := holding("a", `echo HELD; echo gone >&2; exit 7`)
	target.Post = shell(`exit 8`)
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, target)
	if err != nil {
		t.Fatal(err)
	}
	<-q.Lost()
	said := q.End(t.Context())[uidOf("a")].Err
	for _, part := range []string{"ended before it was released", "exit status 7", "gone", "post-hook", "exit status 8"} {
		if !strings.Contains(said.Error(), part) {
			t.Errorf("%q is missing in %v", part, said)
		}
	}
	if strings.Contains(said.Error(), "\n") {
		t.Errorf("more than one line: %q", said)
	}
	var exit clientexec.CodeExitError
	var pod *hooks.PodError
	if !errors.As(said, &exit) || !errors.As(said, &pod) {
		t.Errorf("the errors in it can't be told any more: %v", said)
	}
}

package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clientexec "k8s.io/client-go/util/exec"
	"k8s.io/utils/clock"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/hooks/hookstest"
)

// aHold is a well-behaved held session: it writes what it does into the file
// $LOG and takes and leaves a lock, here a file.
const aHold = `touch "$LOG.frozen.$POD"; echo HELD; cat >/dev/null; echo STILL_HELD; rm "$LOG.frozen.$POD"`

// mark of what runs for these tests, which share the machine with others.
var mark = hooks.Mark(fmt.Sprintf("hooks-test-%d.1", os.Getpid()))

func shell(script string) hooks.Command {
	return hooks.Command{Args: []string{"/bin/sh", "-c", script}, Container: "db"}
}

func holding(pod, script string) hooks.Target {
	return hooks.Target{Pod: pod, UID: types.UID(pod), Mark: mark, Method: v1alpha1.MethodHold, Hold: shell(script)}
}

func hooked(pre, post string) hooks.Target {
	return hooks.Target{Pod: "a", UID: "a", Mark: mark, Method: v1alpha1.MethodHooks, Pre: shell(pre), Post: shell(post)}
}

func aLog(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "log")
	t.Setenv("LOG", path)
	return path
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

func begin(t *testing.T, e hooks.Executor, within time.Duration, targets ...hooks.Target) (*hooks.Quieted, error) {
	t.Helper()
	life, end := context.WithCancel(t.Context())
	t.Cleanup(end)
	ctx, cancel := context.WithTimeout(life, within)
	defer cancel()
	return hooks.Begin(ctx, life, time.Now().Add(time.Hour), e, clock.RealClock{}, targets)
}

func TestAHeldSessionTestifies(t *testing.T) {
	log := aLog(t)
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, holding("a", aHold), holding("b", aHold))
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range []string{"a", "b"} {
		if _, err := os.Stat(log + ".frozen." + pod); err != nil {
			t.Errorf("%s isn't frozen between Begin and End: %v", pod, err)
		}
	}
	releases := q.End(t.Context())
	for _, pod := range []types.UID{"a", "b"} {
		if r := releases[pod]; !r.Thawed || !r.Testified || r.Err != nil {
			t.Errorf("%s: %+v", pod, r)
		}
		if _, err := os.Stat(log + ".frozen." + string(pod)); err == nil {
			t.Errorf("%s is still frozen after End", pod)
		}
	}
}

func TestWhatIsNoProof(t *testing.T) {
	for name, c := range map[string]struct{ script, says string }{
		"exit code 0 without the word":          {`echo HELD; cat >/dev/null; exit 0`, "without STILL_HELD"},
		"the word before its input ended":       {`printf 'HELD\nSTILL_HELD\n'; cat >/dev/null`, "without STILL_HELD"},
		"the word twice, once too early":        {`printf 'HELD\nSTILL_HELD\n'; cat >/dev/null; echo STILL_HELD`, "without STILL_HELD"},
		"another word with the same letters":    {`echo HELD; cat >/dev/null; echo NOT STILL_HELD`, "without STILL_HELD"},
		"the lost lock that a client reports":   {`echo HELD; cat >/dev/null; echo LOST; echo gone >&2`, "gone"},
		"the word of a process that had to die": {`echo HELD; cat >/dev/null; exit 3`, "without STILL_HELD"},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := begin(t, &hookstest.Executor{}, 10*time.Second, holding("a", c.script))
			if err != nil {
				t.Fatal(err)
			}
			r := q.End(t.Context())["a"]
			if r.Testified || !r.Thawed {
				t.Errorf("%+v", r)
			}
			if r.Err == nil || !strings.Contains(r.Err.Error(), c.says) {
				t.Errorf("says %v, want %q", r.Err, c.says)
			}
		})
	}
}

func TestTheLastWordNeedsNoNewline(t *testing.T) {
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, holding("a", `echo HELD; cat >/dev/null; printf STILL_HELD`))
	if err != nil {
		t.Fatal(err)
	}
	if r := q.End(t.Context())["a"]; !r.Testified {
		t.Errorf("%+v", r)
	}
}

// cut breaks the stream of a command that goes on.
type cut struct{ hooks.Executor }

func (c cut) Exec(ctx context.Context, in hooks.Container, command []string, s hooks.Streams) error {
	if err := c.Executor.Exec(ctx, in, command, s); err != nil {
		return err
	}
	return errors.New("the connection was lost")
}

func TestTheLastWordOfABrokenStreamMayBeCut(t *testing.T) {
	q, err := begin(t, cut{&hookstest.Executor{}}, 10*time.Second, holding("a", `echo HELD; cat >/dev/null; printf STILL_HELD`))
	if err != nil {
		t.Fatal(err)
	}
	if r := q.End(t.Context())["a"]; r.Testified {
		t.Errorf("%+v", r)
	}
}

func TestALostSessionIsNoticedAtOnce(t *testing.T) {
	for _, script := range []string{`echo HELD; echo STILL_HELD`, `printf HELD`} {
		q, err := begin(t, &hookstest.Executor{}, 10*time.Second, holding("a", script))
		if err != nil {
			t.Fatal(err)
		}
		<-q.Lost()
		if r := q.End(t.Context())["a"]; r.Testified || !r.Thawed || !strings.Contains(r.Err.Error(), "ended before it was released") {
			t.Errorf("%s: %+v", script, r)
		}
	}
}

func TestAHoldThatNeverHolds(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		within time.Duration
		says   string
	}{
		"fails at once":            {`echo "Access denied" >&2; exit 1`, 10 * time.Second, "Access denied"},
		"ends without HELD":        {`echo held`, 10 * time.Second, "without HELD"},
		"waits for its lock":       {`cat >/dev/null`, 200 * time.Millisecond, "deadline exceeded"},
		"says HELD and no newline": {`printf HELD; cat >/dev/null; printf STILL_HELD`, 200 * time.Millisecond, "HELD came without a newline"},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := begin(t, &hookstest.Executor{}, c.within, holding("a", c.script))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("says %v, want %q", err, c.says)
			}
			if r := q.End(t.Context())["a"]; r.Testified || !r.Thawed {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestOneFailureReleasesAll(t *testing.T) {
	log := aLog(t)
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, holding("good", aHold), holding("bad", `echo no >&2; exit 1`))
	if err == nil || !strings.Contains(err.Error(), "pod bad") {
		t.Fatalf("the failure must name the pod that failed, got %v", err)
	}
	q.End(t.Context())
	if _, err := os.Stat(log + ".frozen.good"); err == nil {
		t.Error("the pod that did freeze is still frozen")
	}
}

func TestWhatWasQuietBeforeAnotherFailedCounts(t *testing.T) {
	for name, c := range map[string]struct {
		targets []hooks.Target
		some    bool
	}{
		"one that held":  {targets: []hooks.Target{holding("good", `echo HELD; cat >/dev/null; echo STILL_HELD`), holding("bad", `cat >/dev/null`)}, some: true},
		"none that held": {targets: []hooks.Target{holding("bad", `cat >/dev/null`)}},
		"a pre-hook":     {targets: []hooks.Target{hooked(`exit 1`, `true`)}, some: true},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := begin(t, &hookstest.Executor{}, 500*time.Millisecond, c.targets...)
			if err == nil {
				t.Fatal("no error")
			}
			q.End(t.Context())
			if !q.HeldAt().IsZero() || q.FirstHeldAt().IsZero() == c.some {
				t.Errorf("the first was quiet at %v, all at %v", q.FirstHeldAt(), q.HeldAt())
			}
		})
	}
}

func TestASessionThatIgnoresTheEndIsKilled(t *testing.T) {
	log := aLog(t)
	script := `trap '' TERM HUP; echo HELD; while :; do date +%N >> "$LOG"; sleep 0.05; done`
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, holding("a", script))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if r := q.End(ctx)["a"]; r.Testified || !r.Thawed {
		t.Errorf("a killed session is thawed and proves nothing: %+v", r)
	}
	stopped(t, log)
}

// The grace is that of the deadline, and not the longest: a hold that ignores
// its end has to be killed in time.
func TestASessionThatIgnoresItsEndIsKilledForTheDeadline(t *testing.T) {
	for name, left := range map[string]time.Duration{"soon": 800 * time.Millisecond, "over": -time.Second} {
		t.Run(name, func(t *testing.T) {
			q, err := hooks.Begin(t.Context(), t.Context(), time.Now().Add(left), &hookstest.Executor{}, clock.RealClock{}, []hooks.Target{holding("a", `echo HELD; sleep 1000`)})
			if err != nil {
				t.Fatal(err)
			}
			if r := q.End(t.Context())["a"]; !r.Thawed || r.Testified {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestASessionThatTakesItsTimeIsWaitedFor(t *testing.T) {
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, holding("a", `echo HELD; cat >/dev/null; sleep 0.4; echo STILL_HELD`))
	if err != nil {
		t.Fatal(err)
	}
	if r := q.End(t.Context())["a"]; !r.Thawed || !r.Testified {
		t.Errorf("%+v", r)
	}
}

// stopped waits until the log has stopped growing: its writer is gone.
func stopped(t *testing.T, log string) {
	t.Helper()
	for range 100 {
		before := len(lines(t, log))
		<-time.After(150 * time.Millisecond)
		if len(lines(t, log)) == before {
			return
		}
	}
	t.Error("the process is still at work")
}

// goesOn waits until the log grows.
func goesOn(t *testing.T, log string) {
	t.Helper()
	before := len(lines(t, log))
	for range 100 {
		if len(lines(t, log)) > before {
			return
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Error("the process doesn't work any more")
}

func TestHooksRunAroundTheCut(t *testing.T) {
	log := aLog(t)
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, hooked(`echo pre >> "$LOG"`, `echo post >> "$LOG"`))
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(t, log); len(got) != 1 || got[0] != "pre" {
		t.Errorf("before the cut: %v", got)
	}
	if r := q.End(t.Context())["a"]; !r.Testified || !r.Thawed || r.Err != nil {
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
			q, err := begin(t, &hookstest.Executor{}, 500*time.Millisecond, hooked(pre, `echo post >> "$LOG"`))
			if err == nil {
				t.Fatal("no error")
			}
			if r := q.End(t.Context())["a"]; !r.Thawed || r.Testified {
				t.Errorf("%+v", r)
			}
			if got := lines(t, log); len(got) != 1 {
				t.Errorf("post-hook: %v", got)
			}
		})
	}
}

func TestAPreHookThatTimedOutCantWinLater(t *testing.T) {
	log := aLog(t)
	_, err := begin(t, &hookstest.Executor{}, 300*time.Millisecond, hooked(`while :; do date +%N >> "$LOG"; sleep 0.05; done`, `true`))
	if err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("got %v", err)
	}
	stopped(t, log)
}

// A command that was asked for may begin when its time is over already.
func TestAPreHookThatBeginsLateIsKilled(t *testing.T) {
	log := aLog(t)
	e := late{&hookstest.Executor{}, 700 * time.Millisecond}
	q, err := begin(t, e, 200*time.Millisecond, hooked(`while :; do date +%N >> "$LOG"; sleep 0.05; done`, `true`))
	if err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("got %v", err)
	}
	if r := q.End(t.Context())["a"]; !r.Thawed || r.Testified {
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
	if strings.HasPrefix(command[3], "lull=") {
		<-time.After(l.by)
	}
	return l.Executor.Exec(ctx, c, command, s)
}

// What nobody has seen the end of may freeze after the post-hook.
func TestAPreHookThatMayGoOnIsNotThawed(t *testing.T) {
	aLog(t)
	q, err := begin(t, &hookstest.Executor{NoShell: true}, 200*time.Millisecond, hooks.Target{
		Pod: "a", UID: "a", Mark: mark, Method: v1alpha1.MethodHooks,
		Pre: hooks.Command{Args: []string{"sleep", "20"}, Container: "db"}, Post: hooks.Command{Args: []string{"true"}, Container: "db"},
	})
	if err == nil || !strings.Contains(err.Error(), "may go on") {
		t.Errorf("got %v", err)
	}
	if r := q.End(t.Context())["a"]; r.Thawed {
		t.Errorf("%+v", r)
	}
}

// whatIsLeft begins a command as a manager does that then dies: nobody ends it.
func whatIsLeft(t *testing.T, of hooks.Target) {
	t.Helper()
	within := 10 * time.Second
	if of.Method == v1alpha1.MethodHooks {
		within = 300 * time.Millisecond
	}
	ctx, die := context.WithTimeout(t.Context(), within)
	defer die()
	q, _ := hooks.Begin(ctx, ctx, time.Now().Add(time.Hour), forgetful{&hookstest.Executor{}}, clock.RealClock{}, []hooks.Target{of})
	if of.Method == v1alpha1.MethodHold && q.HeldAt().IsZero() {
		t.Fatal("it never held")
	}
}

// forgetful runs nothing that ends what was begun.
type forgetful struct{ hooks.Executor }

func (f forgetful) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if !strings.HasPrefix(command[3], "lull=") {
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
			if err := hooks.EndLeftover(t.Context(), &hookstest.Executor{}, hooks.Container{Pod: "a"}, mark+"0"); err != nil {
				t.Error(err)
			}
			goesOn(t, log)
			if err := hooks.EndLeftover(t.Context(), &hookstest.Executor{}, hooks.Container{Pod: "a"}, mark); err != nil {
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
		t.Skip("only root can run another user's process")
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
			if r := q.End(ctx)["a"]; r.Thawed || !strings.Contains(r.Err.Error(), "can't be killed") {
				t.Errorf("it lives on and counts as %+v", r)
			}
			if err := hooks.EndLeftover(t.Context(), executor, hooks.Container{Pod: "a"}, mark); err == nil || !strings.Contains(err.Error(), fmt.Sprint(pid)) {
				t.Errorf("%d lives on, says %v", pid, err)
			}
			if err := hooks.EndLeftover(t.Context(), &hookstest.Executor{}, hooks.Container{Pod: "a"}, mark); err != nil {
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
	if err := hooks.EndLeftover(t.Context(), &hookstest.Executor{}, hooks.Container{Pod: "a"}, mark); err != nil {
		t.Error(err)
	}
	goesOn(t, log)
	if r := q.End(t.Context())["a"]; !r.Testified {
		t.Errorf("%+v", r)
	}
	stopped(t, log)
}

func TestNobodyKnowsWhatIsLeftWhereThereIsNoShell(t *testing.T) {
	err := hooks.EndLeftover(t.Context(), &hookstest.Executor{NoShell: true}, hooks.Container{Pod: "a"}, mark)
	if !errors.Is(err, hooks.ErrNoShell) || !strings.Contains(err.Error(), "pod a") {
		t.Errorf("got %v", err)
	}
}

func TestAFailingPostHookIsNotThawed(t *testing.T) {
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, hooked(`true`, `echo "can't unlock" >&2; exit 1`))
	if err != nil {
		t.Fatal(err)
	}
	if r := q.End(t.Context())["a"]; r.Thawed || r.Testified || !strings.Contains(r.Err.Error(), "can't unlock") {
		t.Errorf("%+v", r)
	}
}

func TestAContainerWithoutAShell(t *testing.T) {
	log := aLog(t)
	target := hooks.Target{Pod: "a", UID: "a", Method: v1alpha1.MethodHooks,
		Pre: hooks.Command{Args: []string{"touch", log}}, Post: hooks.Command{Args: []string{"rm", log}}}
	q, err := begin(t, &hookstest.Executor{NoShell: true}, 10*time.Second, target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(log); err != nil {
		t.Errorf("the pre-hook did not run: %v", err)
	}
	if r := q.End(t.Context())["a"]; !r.Testified {
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
			r := q.End(ctx)["a"]
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
	if r := q.End(t.Context())["a"]; !r.Testified {
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
	said := q.End(t.Context())["a"].Err
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

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

	"k8s.io/apimachinery/pkg/types"
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

// uidOf is that of a pod of these tests alone: a new watchman ends what is left of
// earlier ones of its pod.
func uidOf(pod string) types.UID { return types.UID(fmt.Sprintf("%s-%d", pod, os.Getpid())) }

func shell(script string) hooks.Command {
	return hooks.Command{Args: []string{"/bin/sh", "-c", script}, Container: "db"}
}

func holding(pod, script string) hooks.Target {
	return hooks.Target{Pod: pod, UID: uidOf(pod), Mark: mark, Method: v1alpha1.MethodHold, Hold: shell(script)}
}

func hooked(pre, post string) hooks.Target {
	return hooks.Target{Pod: "a", UID: uidOf("a"), Mark: mark, Method: v1alpha1.MethodHooks, Pre: shell(pre), Post: shell(post)}
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

func begin(t *testing.T, e hooks.Executor, within time.Duration, targets ...hooks.Target) (*hooks.Session, error) {
	t.Helper()
	return beginBy(t, e, within, time.Hour, targets...)
}

// beginBy begins what is to be thawed after a while. What a test leaves of it is
// ended.
func beginBy(t *testing.T, e hooks.Executor, within, thawed time.Duration, targets ...hooks.Target) (*hooks.Session, error) {
	t.Helper()
	life, end := context.WithCancel(t.Context())
	t.Cleanup(end)
	t.Cleanup(func() { nothingIsLeft(t) })
	ctx, cancel := context.WithTimeout(life, within)
	defer cancel()
	return hooks.Begin(ctx, life, time.Now().Add(thawed), e, clock.RealClock{}, targets)
}

// nothingIsLeft ends what is left of the tests' attempts.
func nothingIsLeft(t *testing.T) {
	t.Helper()
	if err := hooks.EndLeftover(context.WithoutCancel(t.Context()), &hookstest.Executor{}, hooks.Container{Pod: "a"}, uidOf("a"), mark); err != nil {
		t.Error(err)
	}
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
	for _, pod := range []string{"a", "b"} {
		if r := releases[uidOf(pod)]; !r.Thawed || !r.Testified || r.Err != nil {
			t.Errorf("%s: %+v", pod, r)
		}
		if _, err := os.Stat(log + ".frozen." + pod); err == nil {
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
			r := q.End(t.Context())[uidOf("a")]
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
	if r := q.End(t.Context())[uidOf("a")]; !r.Testified {
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
	if r := q.End(t.Context())[uidOf("a")]; r.Testified {
		t.Errorf("%+v", r)
	}
}

// breaking is a connection that can be broken; commands without an input are
// on another.
type breaking struct {
	hooks.Executor
	broken context.Context
}

func (b breaking) Exec(ctx context.Context, in hooks.Container, command []string, s hooks.Streams) error {
	if s.In != nil {
		ctx = b.broken
	}
	return b.Executor.Exec(ctx, in, command, s)
}

// What doesn't heed the end of its input would hold on until its own limit.
func TestAHoldThatOutlivesItsStreamIsEnded(t *testing.T) {
	broken, breakIt := context.WithCancel(t.Context())
	defer breakIt()
	e := &hookstest.Executor{}
	target := holding("a", `echo HELD; sleep 98761; echo STILL_HELD`)
	q, err := begin(t, breaking{e, broken}, 10*time.Second, target)
	if err != nil {
		t.Fatal(err)
	}
	breakIt()
	<-q.Lost()
	if r := q.End(t.Context())[uidOf("a")]; r.Testified || !r.Thawed || !strings.Contains(r.Err.Error(), "ended before it was released") {
		t.Errorf("%+v", r)
	}
	if left, err := exec.Command("pgrep", "-f", "sleep 98761").Output(); err == nil {
		t.Errorf("it lives on: %s", left)
	}
}

func TestAHoldThatOutlivesItsStreamWhereNobodyCanLookIsNotThawed(t *testing.T) {
	broken, breakIt := context.WithCancel(t.Context())
	defer breakIt()
	e := &hookstest.Executor{}
	q, err := begin(t, breaking{e, broken}, 10*time.Second, holding("a", `echo HELD; timeout 5 sleep 98762`))
	if err != nil {
		t.Fatal(err)
	}
	e.NoShell = true
	breakIt()
	<-q.Lost()
	if r := q.End(t.Context())[uidOf("a")]; r.Thawed || !errors.Is(r.Err, hooks.ErrNoShell) {
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
		if r := q.End(t.Context())[uidOf("a")]; r.Testified || !r.Thawed || !strings.Contains(r.Err.Error(), "ended before it was released") {
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
		"says HELD and no newline": {`printf HELD; cat >/dev/null; printf STILL_HELD`, 3 * time.Second, "HELD came without a newline"},
	} {
		t.Run(name, func(t *testing.T) {
			q, err := begin(t, &hookstest.Executor{}, c.within, holding("a", c.script))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("says %v, want %q", err, c.says)
			}
			if r := q.End(t.Context())[uidOf("a")]; r.Testified || !r.Thawed {
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
			q, err := begin(t, &hookstest.Executor{}, 3*time.Second, c.targets...)
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
	if r := q.End(ctx)[uidOf("a")]; r.Testified || !r.Thawed {
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
			if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || r.Testified {
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
	if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || !r.Testified {
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

package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/hooks/hookstest"
)

func TestAWatchmanThawsWhatADeadManagerLeftFrozen(t *testing.T) {
	for name, e := range shells(t) {
		t.Run(name, func(t *testing.T) {
			log := aLog(t)
			began := time.Now()
			aDeadManager(t, e, 2*time.Second, aPair())
			if got := lines(t, log); len(got) != 1 {
				t.Errorf("it was thawed before its time: %v", got)
			}
			says(t, log, "pre", "post")
			if after := time.Since(began); after < 2*time.Second || after > 8*time.Second {
				t.Errorf("it was thawed after %s", after)
			}
			gone(t, mark)
		})
	}
}

func TestWhoeverComesNextThawsInTheWatchmansPlace(t *testing.T) {
	for name, e := range shells(t) {
		t.Run(name, func(t *testing.T) {
			log := aLog(t)
			aDeadManager(t, e, time.Minute, aPair())
			if err := hooks.Thaw(t.Context(), e, aPair()); err != nil {
				t.Error(err)
			}
			says(t, log, "pre", "post")
			if left := marked(t, mark); left != "" {
				t.Errorf("%s is left", left)
			}
		})
	}
}

// Whoever comes next may die as well, before any of its commands.
func TestWhoeverComesNextMayDieToo(t *testing.T) {
	for _, commands := range []int{0, 1} {
		t.Run(fmt.Sprintf("after %d commands", commands), func(t *testing.T) {
			log := aLog(t)
			aDeadManager(t, &hookstest.Executor{}, 3*time.Second, aPair())
			life, die := context.WithCancel(t.Context())
			next := &diesAfter{mortal: mortal{&hookstest.Executor{}, life}, die: die}
			next.left.Store(int32(commands))
			if err := hooks.Thaw(t.Context(), next, aPair()); err == nil {
				t.Error("it thawed")
			}
			says(t, log, "pre", "post")
			gone(t, mark)
		})
	}
}

// diesAfter is the executor of a manager that dies when it has no command left to run.
type diesAfter struct {
	mortal
	left atomic.Int32
	die  func()
}

func (d *diesAfter) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if d.left.Add(-1) < 0 {
		d.die()
	}
	return d.mortal.Exec(ctx, c, command, s)
}

// The watchman runs the post-hook, once, and nothing of it stays.
func TestAManagerThawsByTheWatchman(t *testing.T) {
	for name, e := range shells(t) {
		t.Run(name, func(t *testing.T) {
			log := aLog(t)
			q, err := begin(t, e, 10*time.Second, aPair())
			if err != nil {
				t.Fatal(err)
			}
			says(t, log, "pre")
			if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || !r.Testified || r.Err != nil {
				t.Errorf("%+v", r)
			}
			says(t, log, "pre", "post")
			if left := marked(t, mark); left != "" {
				t.Errorf("%s is left", left)
			}
			if len(q.Unwatched()) > 0 {
				t.Errorf("says %v", q.Unwatched())
			}
		})
	}
}

// Whoever was held up past the deadline can't call the quiet good any more.
func TestAWatchmanThatActedIsNoProof(t *testing.T) {
	log := aLog(t)
	q, err := beginBy(t, &hookstest.Executor{}, 10*time.Second, time.Second, aPair())
	if err != nil {
		t.Fatal(err)
	}
	<-q.Lost()
	says(t, log, "pre", "post")
	if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || r.Testified || r.Err == nil || !strings.Contains(r.Err.Error(), "by itself") {
		t.Errorf("%+v", r)
	}
}

// A watchman who is killed thaws nothing, and says nothing.
func TestAWatchmanThatIsLostIsNoProof(t *testing.T) {
	log := aLog(t)
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, aPair())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("pkill", "-KILL", "-f", "lull=watch\\."+string(mark)+"\\.").CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	<-q.Lost()
	if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || r.Testified {
		t.Errorf("%+v", r)
	}
	says(t, log, "pre", "post")
}

// What is still at work at the deadline would freeze after the post-hook.
func TestAWatchmanEndsAPreHookBeforeItThaws(t *testing.T) {
	for name, container := range map[string]string{"in its container": "db", "in another": "side"} {
		t.Run(name, func(t *testing.T) {
			log := aLog(t)
			target := hooked(`while :; do date +%N >>"$LOG"; sleep 0.05; done`, `echo post >>"$LOG"`)
			target.Pre.Container = container
			life, die := context.WithCancel(t.Context())
			begun := make(chan struct{})
			go func() {
				defer close(begun)
				_, _ = beginBy(t, mortal{&hookstest.Executor{}, life}, time.Minute, 2*time.Second, target)
			}()
			goesOn(t, log)
			die()
			<-begun
			lastIs(t, log, "post")
			stopped(t, log)
			lastIs(t, log, "post")
			gone(t, mark)
		})
	}
}

func TestHooksInTwoContainersAreWatchedInBoth(t *testing.T) {
	log, e := aLog(t), &telling{}
	target := aPair()
	target.Pre.Container = "side"
	q, err := begin(t, e, 10*time.Second, target)
	if err != nil {
		t.Fatal(err)
	}
	if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || !r.Testified || r.Err != nil {
		t.Errorf("%+v", r)
	}
	says(t, log, "pre", "post")
	gone(t, mark)
	// First the one that has to act first.
	for what, order := range map[string][]string{"begun": e.order(), "told": e.told} {
		if !slices.Equal(order, []string{"side", "db"}) {
			t.Errorf("the watchmen of %v were %s", order, what)
		}
	}
}

// telling notes in which containers watchmen were told to thaw, in order.
type telling struct {
	hookstest.Executor
	mu   sync.Mutex
	told []string
}

func (e *telling) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	if isWatchman(command) {
		in := s.In
		s.In = readerFunc(func(b []byte) (int, error) {
			n, err := in.Read(b)
			if n > 0 {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.told = append(e.told, c.Name)
			}
			return n, err
		})
	}
	return e.Executor.Exec(ctx, c, command, s)
}

// order is in which containers watchmen were begun.
func (e *telling) order() (order []string) {
	for _, run := range e.Runs() {
		if isWatchman(run.Command) {
			order = append(order, run.Container.Name)
		}
	}
	return order
}

func isWatchman(command []string) bool { return strings.HasPrefix(command[3], "lull=watch.") }

type readerFunc func([]byte) (int, error)

func (r readerFunc) Read(b []byte) (int, error) { return r(b) }

func TestAWatchmanRunsThePostHookAsItIsWritten(t *testing.T) {
	words := []string{"two words", "it's", `"quoted"`, "$HOME", "*", "`id`", `back\slash`, "-n", "a;b|c&d", "new\nline", ""}
	want := strings.Join(words, "|") + "|"
	for name, e := range shells(t) {
		t.Run(name, func(t *testing.T) {
			for _, dies := range []bool{false, true} {
				log := aLog(t)
				t.Setenv("lull", "x y")
				target := hooked(`:`, ``)
				target.Post.Args = append([]string{"bash", "-c", `for word; do printf '%s|' "$word"; done >>"$LOG"`, "post"}, words...)
				if dies {
					aDeadManager(t, e, time.Second, target)
				} else if q, err := begin(t, e, 10*time.Second, target); err != nil || !q.End(t.Context())[uidOf("a")].Testified {
					t.Fatal(err)
				}
				gone(t, mark)
				if got, _ := os.ReadFile(log); string(got) != want {
					t.Errorf("by itself %v: ran with %q, want %q", dies, got, want)
				}
			}
		})
	}
}

// A post-hook that fails is run again, whoever runs it.
func TestAWatchmanTriesAgain(t *testing.T) {
	log := aLog(t)
	aDeadManager(t, &hookstest.Executor{}, time.Second, hooked(`echo pre >>"$LOG"`, `echo post >>"$LOG"; mkdir "$LOG.once" 2>/dev/null && exit 1; true`))
	says(t, log, "pre", "post", "post")
	gone(t, mark)
}

// It would thaw what this attempt froze.
func TestAWatchmanEndsThoseOfEarlierAttempts(t *testing.T) {
	log := aLog(t)
	earlier := aPair()
	earlier.Mark = mark + "0"
	aDeadManager(t, &hookstest.Executor{}, time.Minute, earlier)
	other := aPair()
	other.Mark, other.Pod, other.UID = mark+"1", "b", uidOf("b")
	aDeadManager(t, &hookstest.Executor{}, time.Minute, other)
	t.Cleanup(func() {
		for _, m := range []hooks.Mark{earlier.Mark, other.Mark} {
			_ = hooks.EndLeftover(context.WithoutCancel(t.Context()), &hookstest.Executor{}, hooks.Container{}, "", m)
		}
	})
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, aPair())
	if err != nil {
		t.Fatal(err)
	}
	if left := marked(t, earlier.Mark); left != "" {
		t.Errorf("%s is left", left)
	}
	if marked(t, other.Mark) == "" {
		t.Error("another pod's is gone")
	}
	if r := q.End(t.Context())[uidOf("a")]; !r.Testified {
		t.Errorf("%+v", r)
	}
	says(t, log, "pre", "pre", "pre", "post")
}

// A manager that was held up, lost its lease and goes on thaws what another has
// frozen since: neither of them has a proof.
func TestALateManagerTakesAnothersProof(t *testing.T) {
	log := aLog(t)
	late, err := begin(t, &hookstest.Executor{}, 10*time.Second, aPair())
	if err != nil {
		t.Fatal(err)
	}
	if err := hooks.EndLeftover(t.Context(), &hookstest.Executor{}, hooks.Container{Pod: "a"}, uidOf("a"), mark); err != nil {
		t.Fatal(err)
	}
	again := aPair()
	again.Mark = mark + "1"
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, again)
	if err != nil {
		t.Fatal(err)
	}
	if r := late.End(t.Context())[uidOf("a")]; !r.Thawed || r.Testified {
		t.Errorf("the late one: %+v", r)
	}
	<-q.Lost()
	if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || r.Testified {
		t.Errorf("the other: %+v", r)
	}
	says(t, log, "pre", "pre", "post", "post")
}

func TestWhereNobodyCanWatchThePairSaysSo(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	for name, without := range map[string]func(*testing.T) hooks.Executor{
		"a shell": func(*testing.T) hooks.Executor { return &hookstest.Executor{NoShell: true} },
		"sleep": func(t *testing.T) hooks.Executor {
			t.Setenv("PATH", t.TempDir())
			return &hookstest.Executor{}
		},
	} {
		t.Run("without "+name, func(t *testing.T) {
			log := aLog(t)
			target := hooks.Target{Pod: "a", UID: uidOf("a"), Mark: mark, Method: v1alpha1.MethodHooks,
				Pre:  hooks.Command{Args: []string{bash, "-c", `echo pre >>"$LOG"`}, Container: "db"},
				Post: hooks.Command{Args: []string{bash, "-c", `echo post >>"$LOG"`}, Container: "db"}}
			q, err := begin(t, without(t), 10*time.Second, target)
			if err != nil {
				t.Fatal(err)
			}
			if told := q.Unwatched(); len(told) != 1 || told[0].Reason != v1alpha1.ReasonNoWatchman || !strings.Contains(told[0].Message, "container db") {
				t.Errorf("says %v", told)
			}
			if r := q.End(t.Context())[uidOf("a")]; !r.Testified {
				t.Errorf("%+v", r)
			}
			says(t, log, "pre", "post")
		})
	}
}

// Nothing is frozen that nobody watches over, where somebody should.
func TestAWatchmanThatCantBeStartedIsNoFreeze(t *testing.T) {
	log := aLog(t)
	refusing := withoutWatchman{&hookstest.Executor{}, errors.New("error dialing backend: i/o timeout")}
	q, err := begin(t, refusing, 10*time.Second, aPair())
	if err == nil || !strings.Contains(err.Error(), "watchman could not be started") {
		t.Errorf("says %v", err)
	}
	if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || r.Testified {
		t.Errorf("%+v", r)
	}
	if !q.FirstHeldAt().IsZero() {
		t.Errorf("frozen at %v", q.FirstHeldAt())
	}
	says(t, log, "post")
}

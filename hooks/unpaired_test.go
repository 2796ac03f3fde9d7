package hooks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/hooks/hookstest"
)

// Half a pair is run, and nobody has said that the application was quiet.
func TestHalfAPairIsNoFreeze(t *testing.T) {
	for name, c := range map[string]struct {
		pre, post string
		says      string
	}{
		"no post-hook": {pre: `echo pre >> "$LOG"`, says: "no post-hook"},
		"no pre-hook":  {post: `echo post >> "$LOG"`, says: "no pre-hook"},
	} {
		t.Run(name, func(t *testing.T) {
			log := aLog(t)
			target := hooked(c.pre, c.post)
			if c.pre == "" {
				target.Pre = hooks.Command{}
			}
			if c.post == "" {
				target.Post = hooks.Command{}
			}
			q, err := begin(t, &hookstest.Executor{}, 10*time.Second, target)
			if err != nil {
				t.Fatal(err)
			}
			if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || r.Err != nil {
				t.Errorf("%+v", r)
			}
			if got := lines(t, log); len(got) != 1 {
				t.Errorf("ran %v", got)
			}
			if !q.FirstHeldAt().IsZero() || !q.HeldAt().IsZero() {
				t.Errorf("quiet from %v, all from %v", q.FirstHeldAt(), q.HeldAt())
			}
			if !strings.Contains(target.Unpaired(), c.says) {
				t.Errorf("says %q, want %q", target.Unpaired(), c.says)
			}
		})
	}
	for _, whole := range []hooks.Target{hooked("a", "b"), holding("a", aHold)} {
		if said := whole.Unpaired(); said != "" {
			t.Errorf("%s: says %q", whole.Method, said)
		}
	}
}

// A pod that was frozen counts, whatever became of the others.
func TestTheFreezeIsThatOfThePodsThatWereFrozen(t *testing.T) {
	half := hooked("", `true`)
	half.Pre = hooks.Command{}
	q, err := begin(t, &hookstest.Executor{}, 10*time.Second, half, holding("b", `echo HELD; cat >/dev/null; echo STILL_HELD`))
	if err != nil {
		t.Fatal(err)
	}
	q.End(t.Context())
	if q.FirstHeldAt().IsZero() || !q.HeldAt().IsZero() {
		t.Errorf("quiet from %v, all from %v", q.FirstHeldAt(), q.HeldAt())
	}
}

package hooks_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/hooks/hookstest"
	"github.com/lull-dev/lull/snapshot/limits"
)

// A command that prints without end is ended, whatever it is for: the manager, the API
// server and the node have all of it to carry.
func TestACommandThatPrintsWithoutEndIsEnded(t *testing.T) {
	says := fmt.Sprintf("it printed more than %d KiB", limits.KiB(limits.OutputBytes))
	floods := `trap '' PIPE; while :; do date +%N >> "$LOG"; head -c 65536 /dev/zero `
	for name, c := range map[string]struct {
		target hooks.Target
		// begins is true where only its end floods.
		begins bool
	}{
		"a hold, before it holds":   {target: holding("a", floods+`; done`)},
		"a hold, while it holds":    {target: holding("a", `echo HELD; sleep 0.3; `+floods+`; done`), begins: true},
		"a pre-hook":                {target: hooked(floods+`; done`, `true`)},
		"a pre-hook, by its errors": {target: hooked(floods+`>&2; done`, `true`)},
		"a post-hook":               {target: hooked(`true`, floods+`; done`), begins: true},
	} {
		t.Run(name, func(t *testing.T) {
			log := aLog(t)
			q, err := begin(t, &hookstest.Executor{}, 20*time.Second, c.target)
			if c.begins != (err == nil) || err != nil && !strings.Contains(err.Error(), says) {
				t.Fatalf("it begins with %v", err)
			}
			if c.begins && c.target.Hold.Args != nil {
				select {
				case <-q.Lost():
				case <-time.After(20 * time.Second):
					t.Fatal("it goes on")
				}
			}
			r := q.End(t.Context())[uidOf("a")]
			if r.Testified || c.begins && (r.Err == nil || !strings.Contains(r.Err.Error(), says)) {
				t.Errorf("it ends with %+v", r)
			}
			stopped(t, log)
		})
	}
}

// What a command may print is its own: that of another takes nothing from it.
func TestAsMuchAsMayBeIsNoMatter(t *testing.T) {
	aLog(t)
	much := fmt.Sprintf(`head -c %d /dev/zero`, limits.OutputBytes)
	q, err := begin(t, &hookstest.Executor{}, 20*time.Second, hooked(much, much))
	if err != nil {
		t.Fatal(err)
	}
	if r := q.End(t.Context())[uidOf("a")]; !r.Thawed || !r.Testified || r.Err != nil {
		t.Errorf("%+v", r)
	}
}

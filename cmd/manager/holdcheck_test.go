package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/lull-dev/lull/hooks"
)

func TestWhatToCheckIsRead(t *testing.T) {
	a, err := parseHoldCheck([]string{"-n", "shop", "--recipe", "redis", "--timeout", "5s", "pod/db-0"}, io.Discard)
	if err != nil || a.namespace != "shop" || a.pod != "db-0" || a.quiesce.Recipe != "redis" || a.quiesce.Timeout.Duration != 5*time.Second {
		t.Errorf("got %+v, %v", a, err)
	}
	for says, args := range map[string][]string{
		"as pod/name":              {"-n", "shop"},
		"write the pod last":       {"deployment/db"},
		"and alone":                {"pod/a", "-n", "shop"},
		"write a duration from 1s": {"--timeout", "2h", "pod/a"},
		"not defined":              {"--pod", "a"},
	} {
		if _, err := parseHoldCheck(args, io.Discard); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: should say %q: %v", args, says, err)
		}
	}
}

func TestWhatCameOfAHoldIsTold(t *testing.T) {
	var out strings.Builder
	tellChecked(&out, hooks.Checked{How: hooks.ByRelease, Held: 210 * time.Millisecond, Ended: 40 * time.Millisecond, StillHeld: true, Elsewhere: "/redo is on no volume"})
	tellChecked(&out, hooks.Checked{How: hooks.ByKill, Held: time.Second, Ended: 5 * time.Second, Left: []string{"17 sleep 60"}, Err: errors.New("it holds on")})
	tellChecked(&out, hooks.Checked{How: hooks.ByLimit, Err: errors.New("one\ntwo")})
	const want = `released:      HELD after 210ms, ended after 40ms with STILL_HELD
    Declared at most: /redo is on no volume
client killed: HELD after 1s, ended after 5s
    left: 17 sleep 60
    wrong: it holds on
left alone:    no HELD
    wrong: one; two
`
	if out.String() != want {
		t.Errorf("got:\n%s", out.String())
	}
}

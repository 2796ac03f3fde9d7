package hooks_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/hooks/hookstest"
)

func TestAHoldIsChecked(t *testing.T) {
	const good = ""
	for name, c := range map[string]struct {
		script string
		// wrong is what is said of each way in which it is ended; without more it isn't
		// ended in other ways.
		wrong []string
	}{
		"a good one":                       {`echo HELD; timeout 3 cat >/dev/null && echo STILL_HELD`, []string{good, good, good}},
		"one with files elsewhere":         {`echo USES /elsewhere; echo HELD; timeout 3 cat >/dev/null && echo STILL_HELD`, []string{good, good, good}},
		"one that doesn't hold":            {`echo the disk is full >&2; exit 1`, []string{"the disk is full"}},
		"one that never says so":           {`cat >/dev/null`, []string{"it did not hold within"}},
		"one without a limit":              {aHold, []string{good, good, "no limit of its own"}},
		"one that doesn't testify":         {`echo HELD; timeout 3 cat >/dev/null`, []string{"without STILL_HELD", good, good}},
		"one that testifies by itself":     {`echo HELD; timeout 3 cat >/dev/null; echo STILL_HELD`, []string{good, good, "though its input has not ended"}},
		"one that testifies at once":       {`printf 'HELD\nSTILL_HELD\n'; timeout 3 cat >/dev/null`, []string{"without STILL_HELD", good, "though its input has not ended"}},
		"one that doesn't heed its input":  {`echo HELD; sleep 60`, []string{"did not end with its input", "holds on", "no limit of its own"}},
		"one that leaves a process behind": {`sleep 30 >/dev/null 2>&1 & echo HELD; timeout 3 cat >/dev/null && echo STILL_HELD`, []string{"left processes behind", "holds on", "left processes behind"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := t.TempDir() + "/log"
			target := holding("a", "LOG="+log+"; "+c.script)
			target.Mark += hooks.Mark("." + strings.ReplaceAll(name, " ", "-"))
			var all []hooks.Checked
			err := hooks.CheckHold(t.Context(), &hookstest.Executor{}, clock.RealClock{}, target, 5*time.Second, 8*time.Second, func(c hooks.Checked) { all = append(all, c) })
			if (err == nil) != (strings.Join(c.wrong, "") == "") {
				t.Errorf("in all: %v", err)
			}
			if len(all) != len(c.wrong) {
				t.Fatalf("got %+v", all)
			}
			for i, checked := range all {
				isChecked(t, checked, c.wrong[i])
			}
			if says, told := strings.Contains(c.script, "USES /elsewhere"), strings.Contains(all[0].Elsewhere, "/elsewhere is on no volume"); says != told {
				t.Errorf("elsewhere is %q", all[0].Elsewhere)
			}
		})
	}
}

func isChecked(t *testing.T, c hooks.Checked, wrong string) {
	t.Helper()
	switch {
	case wrong == "" && (c.Err != nil || len(c.Left) > 0 || c.Held <= 0 || c.Ended <= 0 || c.StillHeld != (c.How == hooks.ByRelease)):
		t.Errorf("%s: %+v", c.How, c)
	case wrong != "" && (c.Err == nil || !strings.Contains(c.Err.Error(), wrong)):
		t.Errorf("%s: should say %q: %v", c.How, wrong, c.Err)
	case strings.Contains(wrong, "left") && (len(c.Left) != 1 || !strings.HasSuffix(c.Left[0], " sleep 30")):
		t.Errorf("%s: left are %q", c.How, c.Left)
	}
}

package integration

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
)

// hangs is a pair of hooks by annotation, the second of which hangs until the test
// lets it go, and may for longer than a test waits. Both begin with a script.
func (fc *fakeCluster) hangs(begin string) map[string]string {
	return map[string]string{
		"pre.hook.backup.velero.io/command":  fc.asJSON(`: pre; ` + begin + `; echo $$ >"$marks/$POD.hooks"`),
		"post.hook.backup.velero.io/command": fc.asJSON(`: post; ` + begin + `; until [ -e "$marks/../mended" ]; do sleep 0.1; done; rm -f "$marks/$POD.hooks"`),
		"post.hook.backup.velero.io/timeout": "10m",
	}
}

func (fc *fakeCluster) asJSON(script string) string {
	fc.Helper()
	words, err := json.Marshal(fc.command(script))
	fc.must(err)
	return string(words)
}

func TestALongerFreezeThanIsAllowedIsCutShort(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager(withOptions(func(o *options) { o.Limits = hooks.Limits{Freeze: 20 * time.Second} }))
	b := fc.awaitComplete(fc.aBackup(fc.held, within(time.Hour)), v1alpha1.Proven)
	if q := b.Status.Quiesce; q.Deadline.Sub(q.StartedAt.Time) != 20*time.Second {
		t.Errorf("should be bounded by 20s:\n%s", describe(b))
	}
	fc.isWarned(b, v1alpha1.ReasonTimeoutShortened, "the timeout is 1h0m0s, and counts as 20s")
	if !strings.Contains(b.Status.Message, "counts as 20s") {
		t.Errorf("should say it: %s", b.Status.Message)
	}
}

func TestALongerPostHookThanIsAllowedFreezesNothing(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	fc.runs("mysql", annotated(fc.hangs("true"), "data"), nil)
	fc.aManager(withOptions(func(o *options) { o.Limits = hooks.Limits{PostHook: time.Minute} }))
	fc.awaitFailed(fc.aBackup(), v1alpha1.ReasonInvalidHook, "10m0s", "no post-hook may take longer than 1m0s here")
	fc.noCommandRan()
}

// Whoever may create a backup, and may not exec, has nobody frozen for longer than
// the pod template says.
func TestATimeoutOfTheOwnerIsNotRaised(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	hold := fc.asJSON(`trap '' PIPE HUP; mark="$marks/$POD.$$"; ` + holds)
	fc.runs("mysql", annotated(map[string]string{v1alpha1.AnnotationHoldHook: hold, v1alpha1.AnnotationHookTimeout: "12s"}, "data"), nil)
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(within(time.Hour)), v1alpha1.Proven)
	if q := b.Status.Quiesce; q.Deadline.Sub(q.StartedAt.Time) != 12*time.Second {
		t.Errorf("should be bounded by 12s:\n%s", describe(b))
	}
	fc.isWarned(b, v1alpha1.ReasonTimeoutShortened, "the pod template says 12s, which counts")
}

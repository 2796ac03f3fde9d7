package integration

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// agentless is a script of a guest agent that isn't there.
const agentless = `[ -e "$marks/../mended" ] || { echo "guest agent is not connected" >&2; exit 1; }`

// hookedByNothing quiets by a program that isn't there.
func (fc *fakeCluster) hookedByNothing(spec *v1alpha1.VolumeBackupSpec) {
	fc.hookedBy("", agentless)(spec)
	framework.Quiesce(spec).Pre.Command = []string{"lull-no-such-program", "--freeze"}
}

// What never ran froze nothing, so that nobody waits for its thaw.
func TestAPreHookThatIsntThereIsNoFreeze(t *testing.T) {
	t.Run("Fail", func(t *testing.T) {
		fc := aFakeCluster(t)
		fc.anApplication("data")
		fc.aManager()
		b := fc.awaitFailed(fc.aBackup(fc.hookedByNothing, attempts(1)), v1alpha1.ReasonQuiesceFailed, "pre-hook: it never ran")
		if q := b.Status.Quiesce; q.ThawAttempts != 0 || !q.Pods[0].Thawed {
			t.Errorf("nothing was to be thawed:\n%s", describe(b))
		}
		fc.happened("run look", "run post-hook")
	})
	t.Run("Continue", func(t *testing.T) {
		fc := aFakeCluster(t)
		fc.anApplication("data")
		fc.aManager()
		b := fc.awaitComplete(fc.aBackup(fc.hookedByNothing, attempts(1), orContinue), v1alpha1.Crash)
		if !strings.Contains(b.Status.Message, "it never ran") || b.Status.Unthawed != nil {
			t.Errorf("should say why, and no more:\n%s", describe(b))
		}
	})
}

// Whoever asks to go on has a backup in the end, and is told what may be frozen.
func TestContinueGoesOnWithoutAThaw(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	first := fc.aManager()
	b := fc.aBackup(fc.hookedBy(agentless, agentless), orContinue)
	b = fc.await(b, "in its first round of thaws, or at its end", func(b *v1alpha1.VolumeBackup) bool {
		return ended(b) || b.Status.Quiesce != nil && b.Status.Quiesce.ThawAttempts > 0
	})
	first.kill()
	fc.skipRounds(b)
	fc.aManager()
	b = fc.awaitComplete(b, v1alpha1.Crash)
	fc.isMethod(b, v1alpha1.MethodNone, 2)
	const frozen, byHand = "the application may still be frozen", "kubectl exec -n "
	if !strings.Contains(b.Status.Message, frozen) || !strings.Contains(b.Status.Message, byHand) || !strings.Contains(b.Status.Message, "guest agent is not connected") {
		t.Errorf("should say that it may be frozen, and the way out: %s", b.Status.Message)
	}
	if c := condition(b, v1alpha1.ConditionThawed); c.Reason != v1alpha1.ReasonThawFailed || isTrue(b, v1alpha1.ConditionThawed) || !strings.Contains(c.Message, byHand) {
		t.Errorf("should not be called thawed:\n%s", describe(b))
	}
	if u := b.Status.Unthawed; u == nil || u.Attempt != 1 || len(u.Pods) != 1 || u.Pods[0].Thawed || len(u.Pods[0].Post) == 0 {
		t.Errorf("what may be frozen should stay on record:\n%s", describe(b))
	}
	fc.isWarned(b, v1alpha1.ReasonThawFailed, frozen)
	before := len(fc.journal.positions("run post-hook"))
	fc.touch("mended")
	fc.delete(b)
	fc.awaitGone(b)
	if after := len(fc.journal.positions("run post-hook")); after != before+1 {
		t.Errorf("the post-hook was run %d times when the backup was deleted", after-before)
	}
}

// skipRounds has the next round of thaws be the last.
func (fc *fakeCluster) skipRounds(b *v1alpha1.VolumeBackup) {
	fc.Helper()
	fc.eventually("the rounds are counted up", func() bool {
		there := &v1alpha1.VolumeBackup{}
		fc.must(admin.Get(fc.ctx, keyOf(b), there))
		there.Status.Quiesce.ThawAttempts = 11
		return operator.Status().Patch(fc.ctx, there, client.Merge) == nil
	})
}

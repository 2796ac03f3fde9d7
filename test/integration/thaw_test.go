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
		fc.happened("run look", "released")
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

// A pair of hooks is undone at its deadline, whether a manager is there or not.
func TestAPairIsUndoneWithoutAManager(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.storage.decide(func(_ string, n int) fate { return fate{never: n == 1} })
	m := fc.aManager()
	b := fc.aBackup(fc.hooked, within(soon))
	fc.eventually("a snapshot is asked for", func() bool { return len(fc.storage.made()) == 1 })
	m.kill()
	if len(fc.frozen()) == 0 {
		t.Error("it was thawed before its time")
	}
	fc.eventually("it is thawed by nobody of ours", func() bool { return len(fc.frozen()) == 0 })
	fc.aManager()
	fc.isMethod(fc.awaitComplete(b, v1alpha1.Declared), v1alpha1.MethodHooks, 2)
}

func TestAPairThatOnlyTheManagerUndoesSaysSo(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager(func(m *manager, _ *options) { m.noShell = true })
	b := fc.awaitComplete(fc.aBackup(fc.hooked, func(spec *v1alpha1.VolumeBackupSpec) {
		spec.Quiesce.Pre.Command[0], spec.Quiesce.Post.Command[0] = "bash", "bash"
	}), v1alpha1.Declared)
	const says = "which has no shell (/bin/sh)"
	if !strings.Contains(b.Status.Message, says) {
		t.Errorf("should say %q: %s", says, b.Status.Message)
	}
	fc.isWarned(b, v1alpha1.ReasonNoWatchman, says)
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

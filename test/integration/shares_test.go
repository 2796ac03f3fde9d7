package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// However many post-hooks of a crashed manager hang, backups go on.
func TestHooksThatHangKeepNoBackupWaiting(t *testing.T) {
	fc := aFakeCluster(t)
	fc.storage.decide(func(claim string, n int) fate { return fate{never: strings.HasPrefix(claim, "hangs") && n == 1} })
	fc.claims("idle")
	var hanging []*v1alpha1.VolumeBackup
	for i := range 6 {
		claim := fmt.Sprint("hangs-", i)
		fc.claims(claim)
		fc.runs(claim, annotated(fc.hangs("true"), claim), nil)
		hanging = append(hanging, fc.aBackupOf(v1alpha1.KindPod, claim, attempts(1)))
	}
	first := fc.aManager(withOptions(func(o *options) { o.Workers = 16 }))
	fc.eventually("all are frozen", func() bool { return len(fc.storage.made()) == len(hanging) })
	first.kill()
	t.Cleanup(func() { fc.touch("mended") }) // or the manager waits for them when the test has failed
	fc.aManager()
	fc.eventually("hooks hang", func() bool { return len(fc.journal.positions("run post-hook")) > 1 })
	fc.await(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "idle"), "complete", isComplete)
	if ended := len(fc.journal.positions("end of post-hook")); ended > 0 {
		t.Fatalf("%d hooks have ended: they don't hang", ended)
	}
	fc.touch("mended")
	for _, b := range hanging {
		fc.awaitFailed(b, v1alpha1.ReasonQuiesceFailed, "interrupted")
	}
}

// A backup that is deleted while its hook hangs keeps no worker either.
func TestADeletedBackupWhoseHookHangsKeepsNoBackupWaiting(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("idle", "data")
	fc.runs("mysql", annotated(fc.hangs(`[ -e "$marks/../agent" ] || exit 1`), "data"), nil)
	first := fc.aManager()
	b := fc.await(fc.aBackup(), "in its first round of thaws", func(b *v1alpha1.VolumeBackup) bool {
		return b.Status.Quiesce != nil && b.Status.Quiesce.ThawAttempts > 0
	})
	first.kill()
	fc.skipRounds(b)
	second := fc.aManager()
	fc.awaitThawFailed(b)
	second.stop()
	fc.touch("agent")
	t.Cleanup(func() { fc.touch("mended") })
	fc.delete(b)
	before := len(fc.journal.positions("run post-hook"))
	fc.aManager(withOptions(func(o *options) { o.Workers = 1 }))
	fc.eventually("its hook hangs", func() bool { return len(fc.journal.positions("run post-hook")) == before+1 })
	fc.await(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "idle"), "complete", isComplete)
	fc.touch("mended")
	fc.awaitGone(b)
	if after := len(fc.journal.positions("run post-hook")); after != before+1 {
		t.Errorf("its hook was run %d times", after-before)
	}
}

func isComplete(b *v1alpha1.VolumeBackup) bool { return isTrue(b, v1alpha1.ConditionComplete) }

// awaitThawFailed waits for the end of a backup that leaves its application frozen.
func (fc *fakeCluster) awaitThawFailed(b *v1alpha1.VolumeBackup) {
	fc.Helper()
	fc.await(b, "given up", func(b *v1alpha1.VolumeBackup) bool {
		return condition(b, v1alpha1.ConditionFailed).Reason == v1alpha1.ReasonThawFailed
	})
}

// Between two freezes of an application there is a while, whoever asks for them and
// by whichever name, and whichever manager made the first.
func TestBetweenTwoFreezesIsAWhile(t *testing.T) {
	const interval = 3 * time.Second
	rested := withOptions(func(o *options) { o.MinFreezeInterval = interval })
	for name, restart := range map[string]bool{"the same manager": false, "another manager": true} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.claims("data-db-0")
			fc.runs("db-0", template("data-db-0"), fc.aStatefulSet("db", 1, "data"))
			m := fc.aManager(rested)
			first := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindStatefulSet, "db", fc.held), v1alpha1.Proven)
			if restart {
				m.stop()
				fc.aManager(rested)
			}
			second := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindPod, "db-0", fc.held), v1alpha1.Proven)
			if passed := second.Status.Quiesce.FrozenAt.Sub(first.Status.Quiesce.ThawedAt.Time); passed < interval {
				t.Errorf("it was frozen again after %s:\n%s\n%s", passed, describe(first), describe(second))
			}
		})
	}
	t.Run("attempts of one backup", func(t *testing.T) {
		fc := aFakeCluster(t)
		fc.anApplication("data")
		fc.aManager(rested)
		fc.awaitFailed(fc.aBackup(fc.heldBy(losesTheLock), attempts(2)), v1alpha1.ReasonQuiesceFailed)
		fc.happened("released mysql", "run hold in mysql")
		fc.happened("  says: waits until 3s have passed since the application was frozen last")
	})
	t.Run("an attempt that never held", func(t *testing.T) {
		fc := aFakeCluster(t)
		fc.anApplication("data")
		fc.aManager(rested)
		fc.awaitFailed(fc.aBackup(fc.heldBy(neverHolds), attempts(2)), v1alpha1.ReasonQuiesceFailed)
		if len(fc.journal.positions("  says: waits until 3s")) > 0 {
			t.Error("it waited, and nothing was frozen")
		}
	})
}

// Whoever waits for its turn says at which place.
func TestABackupThatWaitsSaysItsPlace(t *testing.T) {
	fc := aFakeCluster(t)
	cut := make(chan struct{})
	fc.storage.decide(func(string, int) fate { return fate{cut: cut} })
	fc.claims("a", "b", "c")
	fc.aManager(withOptions(func(o *options) { o.Workers = 2 })) // one attempt at once
	first := fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "a")
	fc.eventually("the first is being cut", func() bool { return len(fc.storage.made()) == 1 })
	all := []*v1alpha1.VolumeBackup{first}
	for place, claim := range []string{"b", "c"} {
		b := fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, claim)
		says := fmt.Sprintf("it was number %d of its namespace, and 0 waited in others", place+1)
		fc.await(b, "waiting for its turn: "+says, func(b *v1alpha1.VolumeBackup) bool { return strings.Contains(b.Status.Message, says) })
		all = append(all, b)
	}
	close(cut)
	for _, b := range all {
		fc.awaitComplete(b, v1alpha1.Proven)
	}
}

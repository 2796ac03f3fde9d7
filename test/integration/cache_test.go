package integration

import (
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A cache that fills only when it is asked does so while the deadline runs, in
// a large cluster for longer than that.
func TestTheCacheIsFilledBeforeTheFirstAttempt(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager()
	fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
	intent := fc.journal.positions("patch status of backup")[0]
	for _, kind := range []string{"volumesnapshots", "volumesnapshotcontents"} {
		if at := fc.journal.positions(lists + kind); len(at) == 0 || at[0] > intent {
			t.Errorf("%s are first listed after the intent", kind)
		}
	}
}

// After an outage of the API server a watch can be late by more than the
// timeout. The application isn't kept frozen for that.
func TestACutThatTheCacheDoesNotShowIsSeenAllTheSame(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data", "log")
	ready := make(chan struct{})
	fc.storage.decide(func(string, int) fate { return fate{ready: ready} })
	m := fc.aManager()
	m.late.Store(true)
	b := fc.await(fc.aBackup(fc.held), "cut, or given up", func(b *v1alpha1.VolumeBackup) bool {
		return isTrue(b, v1alpha1.ConditionSnapshotsCut) || b.Status.Quiesce != nil && b.Status.Quiesce.Failure != ""
	})
	fc.isMethod(b, v1alpha1.MethodHold, 1)
	m.late.Store(false)
	close(ready)
	fc.isMethod(fc.awaitComplete(b, v1alpha1.Proven), v1alpha1.MethodHold, 1)
}

func TestASnapshotThatTheCacheShowsTooLateIsReady(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	m := fc.aManager(withOptions(func(o *options) { o.ReadyTimeout = 5 * time.Second }))
	m.late.Store(true)
	fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
}

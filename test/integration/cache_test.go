package integration

import (
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers"
)

// A cache that fills only when it is asked does so while the deadline runs, in
// a large cluster for longer than that.
func TestTheCacheIsFilledBeforeTheFirstAttempt(t *testing.T) {
	w := aWorld(t)
	w.anApplication("data")
	w.aManager()
	w.awaitComplete(w.aBackup(w.held), v1alpha1.Proven)
	intent := w.journal.positions("patch status of backup")[0]
	for _, kind := range []string{"volumesnapshots", "volumesnapshotcontents"} {
		if at := w.journal.positions(lists + kind); len(at) == 0 || at[0] > intent {
			t.Errorf("%s are first listed after the intent", kind)
		}
	}
}

// After an outage of the API server a watch can be late by more than the
// timeout. The application isn't kept frozen for that.
func TestACutThatTheCacheDoesNotShowIsSeenAllTheSame(t *testing.T) {
	w := aWorld(t)
	w.anApplication("data", "log")
	ready := make(chan struct{})
	w.storage.decide(func(string, int) fate { return fate{ready: ready} })
	m := w.aManager()
	m.late.Store(true)
	b := w.await(w.aBackup(w.held), "cut, or given up", func(b *v1alpha1.VolumeBackup) bool {
		return isTrue(b, v1alpha1.ConditionSnapshotsCut) || b.Status.Quiesce != nil && b.Status.Quiesce.Failure != ""
	})
	w.isMethod(b, v1alpha1.MethodHold, 1)
	m.late.Store(false)
	close(ready)
	w.isMethod(w.awaitComplete(b, v1alpha1.Proven), v1alpha1.MethodHold, 1)
}

func TestASnapshotThatTheCacheShowsTooLateIsReady(t *testing.T) {
	w := aWorld(t)
	w.anApplication("data")
	m := w.aManager(withOptions(func(o *controllers.Options) { o.ReadyTimeout = 5 * time.Second }))
	m.late.Store(true)
	w.awaitComplete(w.aBackup(w.held), v1alpha1.Proven)
}

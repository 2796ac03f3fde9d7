package integration

import (
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers"
)

func TestASnapshotThatIsLostBeforeItIsReadyFailsTheBackupAndTheOthersAreKept(t *testing.T) {
	w := aWorld(t)
	w.anApplication("data", "log")
	w.storage.decide(func(claim string, _ int) fate {
		if claim == "log" {
			return fate{ready: make(chan struct{})}
		}
		return fate{}
	})
	w.aManager()
	b := w.await(w.aBackup(w.held), "half ready", func(b *v1alpha1.VolumeBackup) bool { return b.Status.Snapshots == "1/2" })
	for _, snap := range w.snapshots() {
		if snap.Labels[v1alpha1.LabelClaim] == "log" {
			w.delete(&snap)
		}
	}
	w.awaitFailed(b, v1alpha1.ReasonSnapshotLost, "log were deleted before they were ready")
	left := w.snapshots()
	if len(left) != 1 || left[0].Labels[v1alpha1.LabelClaim] != "data" {
		t.Errorf("the snapshot of data should be kept, and no other: %d are left", len(left))
	}
}

func TestASnapshotThatIsNeverReadyFailsTheBackup(t *testing.T) {
	w := aWorld(t)
	w.anApplication("data")
	w.storage.decide(func(string, int) fate { return fate{ready: make(chan struct{})} })
	w.aManager(withOptions(func(o *controllers.Options) { o.ReadyTimeout = time.Second }))
	w.awaitFailed(w.aBackup(w.held), v1alpha1.ReasonReadyTimeout, "not all snapshots were ready within 1s", "data")
}

// A snapshot whose creation the API answered too late may come up after the
// backup has failed.
func TestASnapshotThatComesAfterTheFailureIsDiscarded(t *testing.T) {
	w := aWorld(t)
	w.anApplication("data")
	w.aManager()
	b := w.awaitFailed(w.aBackup(w.heldBy(neverHolds), attempts(1)), v1alpha1.ReasonQuiesceFailed)
	late := w.newSnapshotOf(b, "data")
	w.create(late)
	w.noSnapshotIsLeft()
}

package integration

import (
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestASnapshotThatIsLostBeforeItIsReadyFailsTheBackupAndTheOthersAreKept(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data", "log")
	fc.storage.decide(func(claim string, _ int) fate {
		if claim == "log" {
			return fate{ready: make(chan struct{})}
		}
		return fate{}
	})
	fc.aManager()
	b := fc.await(fc.aBackup(fc.held), "half ready", func(b *v1alpha1.VolumeBackup) bool { return b.Status.Snapshots == "1/2" })
	for _, snap := range fc.snapshots() {
		if snap.Labels[v1alpha1.LabelClaim] == "log" {
			fc.delete(&snap)
		}
	}
	fc.awaitFailed(b, v1alpha1.ReasonSnapshotLost, "log were deleted before they were ready")
	fc.eventually("only the snapshot of data is left", func() bool { // what is deleted goes in a moment
		left := fc.snapshots()
		return len(left) == 1 && left[0].Labels[v1alpha1.LabelClaim] == "data"
	})
}

func TestASnapshotThatIsNeverReadyFailsTheBackup(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.storage.decide(func(string, int) fate { return fate{ready: make(chan struct{})} })
	fc.aManager(withOptions(func(o *options) { o.ReadyTimeout = time.Second }))
	fc.awaitFailed(fc.aBackup(fc.held), v1alpha1.ReasonReadyTimeout, "not all snapshots were ready within 1s", "data")
}

// A snapshot whose creation the API answered too late may come up after the
// backup has failed.
func TestASnapshotThatComesAfterTheFailureIsDiscarded(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager()
	b := fc.awaitFailed(fc.aBackup(fc.heldBy(neverHolds), attempts(1)), v1alpha1.ReasonQuiesceFailed)
	late := fc.newSnapshotOf(b, "data", 1)
	fc.create(late)
	fc.noSnapshotIsLeft()
}

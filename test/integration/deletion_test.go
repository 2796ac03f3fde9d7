package integration

import (
	"testing"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestADeletedBackupTakesItsSnapshotsAlong(t *testing.T) {
	w := aWorld(t)
	w.anApplication("data", "log")
	w.aManager()
	b := w.awaitComplete(w.aBackup(w.held), v1alpha1.Proven)
	w.delete(b)
	w.awaitGone(b)
	w.noSnapshotIsLeft()
}

func TestADeletedBackupWaitsUntilItsSnapshotsAreGoneAndSaysSo(t *testing.T) {
	w := aWorld(t)
	w.anApplication("data")
	w.aManager()
	b := w.awaitComplete(w.aBackup(w.held), v1alpha1.Proven)
	snap := w.snapshots()[0]
	w.storage.holdBack()
	w.delete(b)
	b = w.await(b, "waiting", func(b *v1alpha1.VolumeBackup) bool {
		return b.Status.Phase == v1alpha1.PhaseDeleting && condition(b, v1alpha1.ConditionReconciling).Reason == v1alpha1.ReasonDeleting
	})
	if want := "waits until these VolumeSnapshots are deleted: " + snap.Name; b.Status.Message != want {
		t.Errorf("should say %q: %q", want, b.Status.Message)
	}
	w.storage.goOn()
	w.awaitGone(b)
}

func TestRetainLeavesTheSnapshotsUnboundFromTheBackup(t *testing.T) {
	w := aWorld(t)
	w.anApplication("data", "log")
	w.aManager()
	b := w.awaitComplete(w.aBackup(w.held, retain), v1alpha1.Proven)
	w.delete(b)
	w.awaitGone(b)
	left := w.snapshots()
	if len(left) != 2 {
		t.Fatalf("both snapshots should be left: %d", len(left))
	}
	for _, snap := range left {
		if snap.Labels[v1alpha1.LabelBackup] != "" || snap.Labels[v1alpha1.LabelBackupUID] != "" || !snap.DeletionTimestamp.IsZero() {
			t.Errorf("%s should be bound to no backup: %v", snap.Name, snap.Labels)
		}
		if notes := snap.Annotations; notes[v1alpha1.AnnotationRetainedFrom] != b.Name || notes[v1alpha1.AnnotationConsistency] != string(v1alpha1.Proven) {
			t.Errorf("%s should say what it is of: %v", snap.Name, notes)
		}
	}
}

func TestABackupThatIsDeletedWhileFrozenThawsFirst(t *testing.T) {
	for name, quieted := range map[string]func(*world) func(*v1alpha1.VolumeBackupSpec){
		"Hold":  func(w *world) func(*v1alpha1.VolumeBackupSpec) { return w.held },
		"Hooks": func(w *world) func(*v1alpha1.VolumeBackupSpec) { return w.hooked },
		"Retain keeps nothing that isn't proven": func(w *world) func(*v1alpha1.VolumeBackupSpec) {
			return func(s *v1alpha1.VolumeBackupSpec) { w.hooked(s); retain(s) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := aWorld(t)
			w.anApplication("data")
			w.storage.decide(func(string, int) fate { return fate{never: true} })
			w.aManager()
			b := w.aBackup(quieted(w), within(time.Hour))
			w.eventually("a snapshot is asked for", func() bool { return len(w.storage.made()) > 0 })
			w.delete(b)
			endsGone(w, b)
			if name != "Hold" {
				w.happened("run pre-hook", "create snapshot", "run post-hook")
			}
		})
	}
}

func TestABackupThatNeverBeganIsDeletedAtOnce(t *testing.T) {
	w := aWorld(t)
	w.aManager()
	b := w.aBackup(w.held)
	w.delete(b)
	w.awaitGone(b)
	w.noCommandRan()
}

// Nobody but a user deletes a backup, and a snapshot outlives what made it.
func TestSnapshotsHaveNoOwner(t *testing.T) {
	w := aWorld(t)
	w.anApplication("data")
	w.aManager()
	w.awaitComplete(w.aBackup(w.held), v1alpha1.Proven)
	for _, snap := range w.snapshots() {
		if len(snap.OwnerReferences) > 0 {
			t.Errorf("%s would be deleted by cascade: %v", snap.Name, snap.OwnerReferences)
		}
		if snap.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy || snap.Labels[v1alpha1.LabelClaim] != "data" {
			t.Errorf("labels are missing: %v", snap.Labels)
		}
	}
}

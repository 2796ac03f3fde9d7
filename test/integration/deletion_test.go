package integration

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestADeletedBackupTakesItsSnapshotsAlong(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data", "log")
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
	fc.delete(b)
	fc.awaitGone(b)
	fc.noSnapshotIsLeft()
}

func TestADeletedBackupWaitsUntilItsSnapshotsAreGoneAndSaysSo(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
	snap := fc.snapshots()[0]
	fc.storage.holdBack()
	fc.delete(b)
	b = fc.await(b, "waiting", func(b *v1alpha1.VolumeBackup) bool {
		return b.Status.Phase == v1alpha1.PhaseDeleting && condition(b, v1alpha1.ConditionReconciling).Reason == v1alpha1.ReasonDeleting
	})
	if want := "waits until these VolumeSnapshots are deleted: " + snap.Name; b.Status.Message != want {
		t.Errorf("should say %q: %q", want, b.Status.Message)
	}
	fc.storage.goOn()
	fc.awaitGone(b)
}

// Where many snapshots go at once the snapshot controller loses contents.
func TestOfOneDriverFourBackupsAreDeletedAtOnce(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager()
	var all []*v1alpha1.VolumeBackup
	for range 6 {
		all = append(all, fc.awaitComplete(fc.aBackup(), v1alpha1.Crash))
	}
	fc.storage.holdBack()
	for _, b := range all {
		fc.delete(b)
	}
	going := func() (n int) {
		for _, snap := range fc.snapshots() {
			if !snap.DeletionTimestamp.IsZero() {
				n++
			}
		}
		return n
	}
	waiting := func() (n int) {
		var there v1alpha1.VolumeBackupList
		fc.must(admin.List(fc.ctx, &there, client.InNamespace(fc.namespace)))
		for _, b := range there.Items {
			if strings.Contains(b.Status.Message, "waits for its turn") {
				n++
			}
		}
		return n
	}
	fc.eventually("two of six wait for their turn", func() bool { return going() == 4 && waiting() == 2 })
	fc.storage.goOn()
	for _, b := range all {
		fc.awaitGone(b)
	}
	fc.noSnapshotIsLeft()
}

func TestRetainLeavesTheSnapshotsUnboundFromTheBackup(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data", "log")
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held, retain), v1alpha1.Proven)
	fc.delete(b)
	fc.awaitGone(b)
	left := fc.snapshots()
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
	for name, quieted := range map[string]func(*fakeCluster) func(*v1alpha1.VolumeBackupSpec){
		"Hold":  func(fc *fakeCluster) func(*v1alpha1.VolumeBackupSpec) { return fc.held },
		"Hooks": func(fc *fakeCluster) func(*v1alpha1.VolumeBackupSpec) { return fc.hooked },
		"Retain keeps nothing that isn't proven": func(fc *fakeCluster) func(*v1alpha1.VolumeBackupSpec) {
			return func(s *v1alpha1.VolumeBackupSpec) { fc.hooked(s); retain(s) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.anApplication("data")
			fc.storage.decide(func(string, int) fate { return fate{never: true} })
			fc.aManager()
			b := fc.aBackup(quieted(fc), within(time.Hour))
			fc.eventually("a snapshot is asked for", func() bool { return len(fc.storage.made()) > 0 })
			fc.delete(b)
			endsGone(fc, b)
			if name != "Hold" {
				fc.happened("run pre-hook", "create snapshot", "released")
			}
		})
	}
}

func TestABackupThatNeverBeganIsDeletedAtOnce(t *testing.T) {
	fc := aFakeCluster(t)
	fc.aManager()
	b := fc.aBackup(fc.held)
	fc.delete(b)
	fc.awaitGone(b)
	fc.noCommandRan()
}

// Nobody but a user deletes a backup, and a snapshot outlives what made it.
func TestSnapshotsHaveNoOwner(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager()
	fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
	for _, snap := range fc.snapshots() {
		if len(snap.OwnerReferences) > 0 {
			t.Errorf("%s would be deleted by cascade: %v", snap.Name, snap.OwnerReferences)
		}
		if snap.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy || snap.Labels[v1alpha1.LabelClaim] != "data" {
			t.Errorf("labels are missing: %v", snap.Labels)
		}
	}
}

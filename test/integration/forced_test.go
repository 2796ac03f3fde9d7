package integration

import (
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// forcesAway deletes a backup without the operator.
func (fc *fakeCluster) forcesAway(b *v1alpha1.VolumeBackup) {
	fc.Helper()
	fc.strips(b, "finalizers")
	fc.delete(b)
	fc.awaitGone(b)
}

// A deletion that doesn't wait for the operator. The application goes on at once, and
// nothing that was cut for nothing stays.
func TestABackupThatIsForcedAwayWhileHeldLeavesNothing(t *testing.T) {
	for name, quieted := range map[string]func(*fakeCluster) func(*v1alpha1.VolumeBackupSpec){
		"Hold":  func(fc *fakeCluster) func(*v1alpha1.VolumeBackupSpec) { return fc.held },
		"Hooks": func(fc *fakeCluster) func(*v1alpha1.VolumeBackupSpec) { return fc.hooked },
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.anApplication("data")
			fc.storage.decide(func(string, int) fate { return fate{never: true} })
			fc.aManager()
			b := fc.aBackup(quieted(fc), within(patience))
			fc.eventually("a snapshot is asked for", func() bool { return len(fc.storage.made()) == 1 })
			fc.forcesAway(b)
			fc.eventually("the application goes on", func() bool { return len(fc.frozen()) == 0 })
			fc.noSnapshotIsLeft()
		})
	}
}

// The same, and its manager dies as well: nobody knows any more that something is held.
// It goes on by itself all the same, by its deadline.
func TestABackupThatIsForcedAwayWithoutAManagerLetsGo(t *testing.T) {
	for name, quieted := range map[string]func(*fakeCluster) func(*v1alpha1.VolumeBackupSpec){
		"Hold":  func(fc *fakeCluster) func(*v1alpha1.VolumeBackupSpec) { return fc.held },
		"Hooks": func(fc *fakeCluster) func(*v1alpha1.VolumeBackupSpec) { return fc.hooked },
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.anApplication("data")
			fc.storage.decide(func(string, int) fate { return fate{never: true} })
			m := fc.aManager()
			b := fc.aBackup(quieted(fc), within(soon))
			fc.eventually("the application is frozen", func() bool { return len(fc.frozen()) > 0 })
			began := time.Now()
			m.kill()
			fc.forcesAway(b)
			fc.aManager()
			fc.nothingIsFrozen()
			if took := time.Since(began); took > soon+agreed {
				t.Errorf("it was frozen for %s, and its owner allows %s", took, soon)
			}
		})
	}
}

// Once it is cut, a backup that is forced away keeps its snapshots, as one that is
// complete: nobody has asked for their end, and they carry its name.
func TestABackupThatIsForcedAwayAfterItsCutKeepsItsSnapshots(t *testing.T) {
	for name, c := range map[string]struct {
		fate   fate
		change func(*v1alpha1.VolumeBackupSpec)
		isNow  func(*fakeCluster, *v1alpha1.VolumeBackup) bool
	}{
		"not ready": {
			fate{ready: make(chan struct{})}, func(*v1alpha1.VolumeBackupSpec) {},
			func(_ *fakeCluster, b *v1alpha1.VolumeBackup) bool { return isTrue(b, v1alpha1.ConditionSnapshotsCut) },
		},
		"exported": {fate{}, exported, func(fc *fakeCluster, b *v1alpha1.VolumeBackup) bool { return len(fc.movers(b)) == 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.aRepository()
			fc.anApplication("data")
			fc.storage.decide(func(_ string, n int) fate {
				if n == 1 {
					return c.fate
				}
				return fate{}
			})
			m := fc.aManager()
			b := fc.await(fc.aBackup(fc.held, c.change), name, func(b *v1alpha1.VolumeBackup) bool { return c.isNow(fc, b) })
			fc.forcesAway(b)
			fc.nothingIsFrozen()
			fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven) // the manager has seen that it is gone
			m.stop()
			fc.aManager()
			fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
			var its snapshotv1.VolumeSnapshotList
			fc.must(admin.List(fc.ctx, &its, client.InNamespace(fc.namespace), client.MatchingLabels{v1alpha1.LabelBackup: b.Name}))
			if len(its.Items) != 1 || !its.Items[0].DeletionTimestamp.IsZero() {
				t.Errorf("of its snapshots there are %d: %+v", len(its.Items), its.Items)
			}
		})
	}
}

package integration

import (
	"fmt"
	"slices"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Whoever may write an object can take from it what we have put on it: by hand, or by
// kubectl replace with a manifest that lacks it.

// strips takes all of that kind from an object.
func (fc *fakeCluster) strips(obj client.Object, metadata string) {
	fc.Helper()
	fc.must(admin.Patch(fc.ctx, obj.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"`+metadata+`":null}}`))))
}

// moments of a backup, by their names. At each the storage keeps the backup there until
// it is told to go on.
var moments = map[string]struct {
	fate  func(until chan struct{}) fate
	isNow func(*fakeCluster, *v1alpha1.VolumeBackup) bool
}{
	"held": {
		func(until chan struct{}) fate { return fate{cut: until} },
		func(fc *fakeCluster, _ *v1alpha1.VolumeBackup) bool { return len(fc.storage.made()) == 1 },
	},
	"cut": {
		func(until chan struct{}) fate { return fate{ready: until} },
		func(_ *fakeCluster, b *v1alpha1.VolumeBackup) bool { return isTrue(b, v1alpha1.ConditionSnapshotsCut) },
	},
	"complete": {
		func(chan struct{}) fate { return fate{} },
		func(_ *fakeCluster, b *v1alpha1.VolumeBackup) bool { return isTrue(b, v1alpha1.ConditionComplete) },
	},
}

// aStrippedBackup has come to a moment at which something is taken from it or from its
// snapshot, while a manager watches or while none does, and then goes on to its end.
func (fc *fakeCluster) aStrippedBackup(moment string, watched bool, strip func(*v1alpha1.VolumeBackup, *snapshotv1.VolumeSnapshot)) *v1alpha1.VolumeBackup {
	fc.Helper()
	at, until := moments[moment], make(chan struct{})
	fc.storage.decide(func(_ string, n int) fate {
		if n == 1 {
			return at.fate(until)
		}
		return fate{}
	})
	fc.anApplication("data")
	m := fc.aManager()
	b := fc.aBackup(fc.held, within(soon))
	fc.eventually("it is "+moment, func() bool {
		fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(b), b))
		return at.isNow(fc, b)
	})
	if !watched {
		m.stop()
	}
	strip(b, &fc.snapshots()[0])
	close(until)
	if !watched {
		fc.aManager()
	}
	return fc.awaitComplete(b, v1alpha1.Proven)
}

func TestWhatIsStrippedOfABackupAndItsSnapshotIsPutBack(t *testing.T) {
	for name, strip := range map[string]func(*fakeCluster, *v1alpha1.VolumeBackup, *snapshotv1.VolumeSnapshot){
		"finalizers of the backup": func(fc *fakeCluster, b *v1alpha1.VolumeBackup, _ *snapshotv1.VolumeSnapshot) {
			fc.strips(b, "finalizers")
		},
		"labels of the snapshot": func(fc *fakeCluster, _ *v1alpha1.VolumeBackup, snap *snapshotv1.VolumeSnapshot) {
			fc.strips(snap, "labels")
		},
		"annotations of the snapshot": func(fc *fakeCluster, _ *v1alpha1.VolumeBackup, snap *snapshotv1.VolumeSnapshot) {
			fc.strips(snap, "annotations")
		},
		"all of both": func(fc *fakeCluster, b *v1alpha1.VolumeBackup, snap *snapshotv1.VolumeSnapshot) {
			fc.strips(b, "finalizers")
			fc.strips(snap, "annotations")
			fc.strips(snap, "labels")
		},
	} {
		for _, at := range []struct {
			moment  string
			watched bool
		}{{"held", true}, {"cut", true}, {"cut", false}, {"complete", true}, {"complete", false}} {
			t.Run(fmt.Sprintf("%s, once it is %s, watched: %t", name, at.moment, at.watched), func(t *testing.T) {
				fc := aFakeCluster(t)
				b := fc.aStrippedBackup(at.moment, at.watched, func(b *v1alpha1.VolumeBackup, snap *snapshotv1.VolumeSnapshot) { strip(fc, b, snap) })
				fc.eventually("all is there again", func() bool {
					fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(b), b))
					return slices.Contains(b.Finalizers, v1alpha1.FinalizerVolumeBackup) && fc.isMarked(b)
				})
				if b.Status.Snapshots != "1/1" || condition(b, v1alpha1.ConditionSnapshotsReady).Reason != v1alpha1.ReasonAllReady {
					t.Errorf("its snapshot is there:\n%s", describe(b))
				}
				fc.delete(b)
				fc.awaitGone(b)
				fc.noSnapshotIsLeft()
			})
		}
	}
}

// A snapshot that nobody has marked again goes with its backup all the same.
func TestASnapshotIsDeletedWithItsBackupWithoutItsMarks(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	m := fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
	m.stop()
	fc.strips(&fc.snapshots()[0], "labels")
	fc.delete(b)
	fc.aManager()
	fc.awaitGone(b)
	fc.noSnapshotIsLeft()
}

// isMarked is true where all snapshots have the marks of those of the backup.
func (fc *fakeCluster) isMarked(b *v1alpha1.VolumeBackup) bool {
	fc.Helper()
	return !slices.ContainsFunc(fc.snapshots(), func(snap snapshotv1.VolumeSnapshot) bool {
		asMade := fc.newSnapshotOf(b, "data", 1)
		for mark, value := range asMade.Labels {
			if snap.Labels[mark] != value {
				return true
			}
		}
		return false
	})
}

// What an attempt that failed made carries no marks any more. It is found by its name.
func TestASnapshotOfAFailedAttemptIsDiscardedWithoutItsMarks(t *testing.T) {
	fc := aFakeCluster(t)
	fc.storage.decide(func(_ string, n int) fate { return fate{never: n == 1} })
	fc.anApplication("data")
	fc.aManager()
	b := fc.aBackup(fc.held, within(soon), attempts(2))
	fc.eventually("a snapshot is asked for", func() bool { return len(fc.storage.made()) == 1 })
	fc.strips(&fc.snapshots()[0], "labels")
	fc.awaitComplete(b, v1alpha1.Proven)
	fc.eventually("only the second is left", func() bool { return len(fc.snapshots()) == 1 })
}

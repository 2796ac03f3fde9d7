package integration

import (
	"strings"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Whoever may read a backup and write VolumeSnapshots can work out every name and
// label of its snapshots. Here they do.

// Right before the manager makes its snapshot there is one of that name, cut at
// who knows what moment.
func TestASnapshotThatSomebodyElseMadeDoesntCountAsACut(t *testing.T) {
	for name, c := range map[string]struct {
		attempts int32
		end      func(*fakeCluster, *v1alpha1.VolumeBackup)
	}{
		"the attempt fails": {1, func(fc *fakeCluster, b *v1alpha1.VolumeBackup) {
			fc.awaitFailed(b, v1alpha1.ReasonQuiesceFailed, "VolumeSnapshot "+b.Name+"-data-", "somebody else has made one of that name", "already exists")
		}},
		"the next attempt is good": {2, func(fc *fakeCluster, b *v1alpha1.VolumeBackup) {
			fc.isMethod(fc.awaitComplete(b, v1alpha1.Proven), v1alpha1.MethodHold, 2)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.anApplication("data")
			b := fc.aBackup(fc.held, attempts(c.attempts))
			isMade := false
			fc.aManager(withFault(func(_ int, what string) action {
				if !isMade && what == writes+"create snapshot of data" {
					isMade = true
					fc.create(fc.newSnapshotOf(b, "data", 1))
				}
				return action{}
			}))
			c.end(fc, b)
		})
	}
}

// The answer to a creation may be lost, and the creation be asked for again.
func TestASnapshotWhoseCreationWasAnsweredTwiceIsTheAttempts(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	b := fc.aBackup(fc.held, attempts(1))
	fc.aManager(withFault(func(_ int, what string) action {
		if what != writes+"create snapshot of data" {
			return action{}
		}
		return action{err: apierrors.NewAlreadyExists(snapshotv1.Resource("volumesnapshots"), "data"), lost: true}
	}))
	b = fc.awaitComplete(b, v1alpha1.Proven)
	fc.isOnRecord(b)
}

// What was cut is on record whole, once a backup is complete.
func (fc *fakeCluster) isOnRecord(b *v1alpha1.VolumeBackup) {
	fc.Helper()
	for _, v := range b.Status.Volumes {
		snap, content := &snapshotv1.VolumeSnapshot{}, &snapshotv1.VolumeSnapshotContent{}
		fc.must(admin.Get(fc.ctx, client.ObjectKey{Namespace: fc.namespace, Name: v.SnapshotName}, snap))
		fc.must(admin.Get(fc.ctx, client.ObjectKey{Name: v.ContentName}, content))
		if v.SnapshotUID != snap.UID || v.ContentUID != content.UID || v.Driver != content.Spec.Driver || v.SnapshotHandle != *content.Status.SnapshotHandle {
			fc.Errorf("of the snapshot of %s isn't on record what it is:\n%s", v.ClaimName, describe(b))
		}
	}
}

// A snapshot is deleted, and another of its name made, between its cut and the
// moment when it can be restored.
func TestASnapshotThatIsReplacedBeforeItIsReadyFailsTheBackup(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.storage.decide(func(string, int) fate { return fate{ready: make(chan struct{})} })
	m := fc.aManager()
	b := fc.await(fc.aBackup(fc.held), "cut", func(b *v1alpha1.VolumeBackup) bool { return isTrue(b, v1alpha1.ConditionSnapshotsCut) })
	wasCut := b.Status.Volumes[0]
	m.stop() // who sees the deletion calls it lost
	another := fc.replaceSnapshot(b, "data")
	fc.aManager()
	b = fc.awaitFailed(b, v1alpha1.ReasonSnapshotReplaced,
		"VolumeSnapshot "+wasCut.SnapshotName+" of claim data was replaced by another", "the UID should be "+string(wasCut.SnapshotUID)+" and is "+string(another.UID), "make another backup")
	if v := b.Status.Volumes[0]; v.SnapshotUID != wasCut.SnapshotUID || v.ContentName != wasCut.ContentName || v.ContentUID != wasCut.ContentUID || v.ReadyToUse {
		t.Errorf("what was cut isn't on record any more:\n%s", describe(b))
	}
	fc.delete(b)
	fc.awaitGone(b)
	fc.isLeftAlone(another)
}

// The same, by one that doesn't even look like the backup's: no watch shows it.
func TestASnapshotThatIsReplacedByAnUnmarkedOneIsLost(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.storage.decide(func(string, int) fate { return fate{ready: make(chan struct{})} })
	m := fc.aManager()
	b := fc.await(fc.aBackup(fc.held), "cut", func(b *v1alpha1.VolumeBackup) bool { return isTrue(b, v1alpha1.ConditionSnapshotsCut) })
	m.stop()
	fc.replaceSnapshot(b, "data", func(another *snapshotv1.VolumeSnapshot) { another.Labels, another.Annotations = nil, nil })
	fc.aManager()
	b = fc.await(b, "at its end", ended)
	if failed := condition(b, v1alpha1.ConditionFailed); failed.Reason != v1alpha1.ReasonSnapshotLost {
		t.Errorf("should have failed by %s:\n%s", v1alpha1.ReasonSnapshotLost, describe(b))
	}
}

// While an export waits, here for its repository, its snapshot is replaced.
func TestASnapshotThatIsReplacedBeforeItIsExportedFailsTheBackup(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	m := fc.aManager()
	b := fc.aBackup(fc.held, exported)
	b = fc.await(b, "waiting for the repository", func(b *v1alpha1.VolumeBackup) bool {
		return strings.Contains(b.Status.Message, "there is no ResticRepository offsite")
	})
	m.stop() // who sees the deletion calls it deleted
	another := fc.replaceSnapshot(b, "data")
	fc.aManager()
	b = fc.await(b, "at its end", ended)
	failed := condition(b, v1alpha1.ConditionFailed)
	if want := "the UID should be " + string(b.Status.Volumes[0].SnapshotUID) + " and is " + string(another.UID); failed.Reason != v1alpha1.ReasonExportFailed || !strings.Contains(failed.Message, want) {
		t.Errorf("should have failed, saying %q:\n%s", want, describe(b))
	}
}

// replaceSnapshot makes another snapshot of an attempt's name and marks, unless they
// are changed, and has it cut and ready.
func (fc *fakeCluster) replaceSnapshot(b *v1alpha1.VolumeBackup, claim string, change ...func(*snapshotv1.VolumeSnapshot)) *snapshotv1.VolumeSnapshot {
	fc.Helper()
	another := fc.newSnapshotOf(b, claim, b.Status.Quiesce.Attempt)
	for _, c := range change {
		c(another)
	}
	fc.delete(&snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Namespace: fc.namespace, Name: another.Name}})
	another.Namespace = fc.namespace
	fc.eventually("its name is free", func() bool {
		err := admin.Create(fc.ctx, another)
		if err != nil && !apierrors.IsAlreadyExists(err) {
			fc.Fatal(err)
		}
		return err == nil
	})
	fc.storage.serve(fc.ctx, another, fate{})
	return another
}

// isLeftAlone: nobody has deleted a snapshot, or changed its marks.
func (fc *fakeCluster) isLeftAlone(snap *snapshotv1.VolumeSnapshot) {
	fc.Helper()
	there := &snapshotv1.VolumeSnapshot{}
	err := admin.Get(fc.ctx, client.ObjectKeyFromObject(snap), there)
	if err != nil || there.UID != snap.UID || !there.DeletionTimestamp.IsZero() || there.Annotations[v1alpha1.AnnotationConsistency] != "" {
		fc.Errorf("somebody's snapshot %s should be left alone: %v, %+v", snap.Name, err, there.ObjectMeta)
	}
}

// Only the one that was cut stays as what it is called.
func TestRetainLeavesNoVerdictOnASnapshotThatWasReplaced(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data", "log")
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held, retain), v1alpha1.Proven)
	another := fc.replaceSnapshot(b, "data")
	fc.delete(b)
	fc.awaitGone(b)
	fc.isLeftAlone(another)
	for _, snap := range fc.snapshots() {
		if isOfLog := strings.Contains(snap.Name, "-log-"); isOfLog && snap.Annotations[v1alpha1.AnnotationConsistency] != string(v1alpha1.Proven) {
			t.Errorf("the one that was cut should say its verdict: %v", snap.Annotations)
		}
	}
}

// A label doesn't make a snapshot a backup's own: neither while the backup is there,
// nor when it goes.
func TestAForgedLabelDoesntHaveSomebodysSnapshotDeleted(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
	precious := fc.newSnapshotOf(b, "data", 1)
	precious.Name = "precious"
	fc.create(precious)
	orphan := fc.newSnapshotOf(b, "data", 2)
	fc.create(orphan)
	fc.eventually("what an attempt made is discarded", func() bool {
		return apierrors.IsNotFound(admin.Get(fc.ctx, client.ObjectKeyFromObject(orphan), &snapshotv1.VolumeSnapshot{}))
	})
	fc.isLeftAlone(precious)
	fc.delete(b)
	fc.awaitGone(b)
	fc.isLeftAlone(precious)
}

// A backup of an earlier version has recorded less. What isn't on record isn't
// compared: its snapshots go with it.
func TestABackupOfAnEarlierVersionTakesItsSnapshotsAlong(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data", "log")
	m := fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
	m.stop()
	for i := range b.Status.Volumes {
		v := &b.Status.Volumes[i]
		v.SnapshotUID, v.ContentUID, v.SnapshotHandle = "", "", ""
	}
	fc.writesStatus(b)
	fc.aManager()
	fc.delete(b)
	fc.awaitGone(b)
	fc.noSnapshotIsLeft()
}

package restore

import (
	"context"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

// replaceSnapshot puts another snapshot, of another copy, under the name of the
// backup's.
func (w *fakeCluster) replaceSnapshot() {
	w.t.Helper()
	ctx := context.Background()
	snap := &snapshotv1.VolumeSnapshot{}
	w.must(w.Get(ctx, client.ObjectKey{Namespace: shop, Name: "s"}, snap))
	w.must(w.Delete(ctx, snap))
	snap.ResourceVersion, snap.UID = "", "uid-another"
	w.must(w.Create(ctx, snap))
	content := &snapshotv1.VolumeSnapshotContent{}
	content.Name, content.Spec.Driver, content.Spec.VolumeSnapshotRef = cut.ContentName(snap), "d", corev1.ObjectReference{UID: snap.UID}
	w.must(w.Create(ctx, content))
}

func TestASnapshotThatWasReplacedIsntRestored(t *testing.T) {
	for name, c := range map[string]struct {
		record func(*v1alpha1.VolumeStatus)
		says   string
	}{
		"it is on record whole": {func(v *v1alpha1.VolumeStatus) { v.SnapshotUID = "uid-s" }, "the UID should be uid-s and is uid-another"},
		"only its content is":   {func(v *v1alpha1.VolumeStatus) { v.ContentName = "snapcontent-uid-s" }, "should be snapcontent-uid-s and is snapcontent-uid-another"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCluster(t, v1alpha1.KindDeployment)
			b := &v1alpha1.VolumeBackup{}
			w.must(w.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: "b"}, b))
			c.record(&b.Status.Volumes[0])
			w.must(w.Update(context.Background(), b))
			w.replaceSnapshot()
			w.must(w.Create(context.Background(), aRestore(nil)))
			failedBecause(t, w.run(), v1alpha1.RestoreFailed, v1alpha1.ReasonSnapshotReplaced, c.says)
		})
	}
}

// The backup of an earlier version has nothing on record, and yet its snapshot is
// one and the same from the resolution on. Each write may be the last before.
func TestASnapshotThatIsReplacedMeanwhileIsntRestored(t *testing.T) {
	for _, verb := range []string{"create", "status of"} {
		t.Run(verb, func(t *testing.T) {
			w := newCluster(t, v1alpha1.KindDeployment)
			isReplaced := false
			w.beforeWrite = func(how string, _ client.Object) {
				if v := w.restore(); !isReplaced && how == verb && v != nil && v.Status.Strategy != "" {
					isReplaced = true
					w.replaceSnapshot()
				}
			}
			w.must(w.Create(context.Background(), aRestore(nil)))
			v := w.run()
			failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonSnapshotReplaced, "the UID should be uid-s and is uid-another")
			if v.Status.ScaledDownAt != nil || w.mounted() != "pv-old" {
				t.Errorf("stopped at %v, it runs on %q", v.Status.ScaledDownAt, w.mounted())
			}
			if made := w.claim(v.Status.Claims[0].RestoredClaim); made != nil {
				t.Errorf("a claim of another snapshot is left: %+v", made)
			}
		})
	}
}

// restore is nil where there is none yet.
func (w *fakeCluster) restore() *v1alpha1.VolumeRestore {
	v := &v1alpha1.VolumeRestore{}
	if w.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: "r"}, v) != nil {
		return nil
	}
	return v
}

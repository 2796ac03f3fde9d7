package backup

import (
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

// What is kept of a backup that has ended is enough for all that asks the cache.
func TestWhatIsKeptOfAnEndedBackup(t *testing.T) {
	now := metav1.NowMicro()
	whole := &v1alpha1.VolumeBackup{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "b", UID: "1", ResourceVersion: "7", Finalizers: []string{v1alpha1.FinalizerVolumeBackup},
			Labels:      map[string]string{v1alpha1.LabelPolicy: "nightly", "team": "shop"},
			Annotations: map[string]string{v1alpha1.AnnotationScheduledAt: "2025-11-26T02:00:00Z", v1alpha1.AnnotationKeep: "true", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
		},
		Spec: v1alpha1.VolumeBackupSpec{ApplicationRef: v1alpha1.ApplicationReference{Kind: v1alpha1.KindStatefulSet, Name: "db"}},
		Status: v1alpha1.VolumeBackupStatus{
			Consistency: v1alpha1.Proven, Message: "no space left", CompletionTime: ptr.To(metav1.Now()),
			Quiesce: &v1alpha1.QuiesceStatus{Method: v1alpha1.MethodHold, CutAt: &now, ThawedAt: &now, GroupSnapshotName: "g"},
			Volumes: []v1alpha1.VolumeStatus{{ClaimName: "data", SnapshotName: "snap-1", Driver: "a.driver"}},
			Conditions: []metav1.Condition{
				{Type: v1alpha1.ConditionFrozen, Status: metav1.ConditionTrue},
				{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue, Message: "long"},
			},
		},
	}
	alone := whole.DeepCopy()
	alone.Status.Quiesce.GroupSnapshotName = ""
	if kept, err := OnlyOutcome(alone); err != nil || kept.(*v1alpha1.VolumeBackup).Status.Quiesce != nil {
		t.Errorf("of a scheduled one without a group nobody asks for the attempt: %+v, %v", kept, err)
	}
	goesOn := whole.DeepCopy()
	goesOn.Status.Conditions = nil
	kept, err := OnlyOutcome(whole.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	b := kept.(*v1alpha1.VolumeBackup)
	switch {
	case !cut.Ended(b), cut.Open(b.Status.Quiesce), !cut.Names(b, "snap-1"), cut.KeptGroup(b) != "g":
		t.Errorf("it isn't known how it ended: %+v", b.Status)
	case b.Status.Message != "no space left", b.Status.Consistency != v1alpha1.Proven, !b.Status.CompletionTime.Equal(whole.Status.CompletionTime):
		t.Errorf("its end is told as %+v", b.Status)
	case b.Spec.ApplicationRef != whole.Spec.ApplicationRef, b.UID != "1", b.ResourceVersion != "7", b.Name != "b", b.Namespace != "shop":
		t.Errorf("it isn't known what it is: %+v", b)
	case len(b.Labels) != 1, len(b.Annotations) != 2, b.Annotations[v1alpha1.AnnotationKeep] != "true":
		t.Errorf("kept are the labels %v, the annotations %v", b.Labels, b.Annotations)
	case len(b.Finalizers) > 0, b.Status.Volumes[0].Driver != "", len(b.Status.Conditions) != 1, b.Status.Conditions[0].Message != "":
		t.Errorf("what nobody needs is kept: %+v", b)
	}
	if kept, err := OnlyOutcome(goesOn.DeepCopy()); err != nil || len(kept.(*v1alpha1.VolumeBackup).Finalizers) == 0 {
		t.Errorf("of one that goes on all is kept: %+v, %v", kept, err)
	}
}

// What is kept of a snapshot and its content tells of the cut as they do.
func TestWhatIsKeptOfASnapshot(t *testing.T) {
	snap := &snapshotv1.VolumeSnapshot{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "s", UID: "2", Annotations: map[string]string{annotationBackup: "b"},
			Labels: map[string]string{v1alpha1.LabelBackupUID: "1", v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
		},
		Spec: snapshotv1.VolumeSnapshotSpec{VolumeSnapshotClassName: ptr.To("fast")},
		Status: &snapshotv1.VolumeSnapshotStatus{
			BoundVolumeSnapshotContentName: ptr.To("c"), ReadyToUse: ptr.To(true), CreationTime: ptr.To(metav1.Now()),
		},
	}
	content := &snapshotv1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{Name: "c"},
		Spec:       snapshotv1.VolumeSnapshotContentSpec{Driver: "a.driver"},
		Status:     &snapshotv1.VolumeSnapshotContentStatus{SnapshotHandle: ptr.To("h")},
	}
	content.Spec.VolumeSnapshotRef.Namespace, content.Spec.VolumeSnapshotRef.Name, content.Spec.VolumeSnapshotRef.UID = "shop", "s", "2"
	keptSnap, keptContent := only[*snapshotv1.VolumeSnapshot](t, snap), only[*snapshotv1.VolumeSnapshotContent](t, content)
	if want, got := cut.Observe(snap, content), cut.Observe(keptSnap, keptContent); !got.Cut || !got.Ready || !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("they tell %+v, and tell by themselves %+v", got, want)
	}
	if backupOf(t.Context(), keptSnap)[0].Name != "b" || keyOf(keptContent) != keyOf(snap) || keptSnap.Spec.VolumeSnapshotClassName != nil {
		t.Errorf("whose they are isn't known, or too much is: %+v, %+v", keptSnap, keptContent)
	}
	snap.Status.ReadyToUse = nil
	if unready := only[*snapshotv1.VolumeSnapshot](t, snap); unready.Spec.VolumeSnapshotClassName == nil {
		t.Error("one that isn't ready may have to be discarded by its class")
	}
}

func only[T interface {
	DeepCopy() T
}](t *testing.T, obj T) T {
	t.Helper()
	kept, err := OnlyCut(obj.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	return kept.(T)
}

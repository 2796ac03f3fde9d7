package backup

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/limits"
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
	if again, err := OnlyOutcome(b); err != nil || again != any(b) {
		t.Errorf("it is made anew: %+v, %v", again, err)
	}
	switch {
	case !cut.Ended(b), cut.Open(b.Status.Quiesce), !cut.Names(b, "snap-1"), cut.KeptGroup(b) != "g":
		t.Errorf("it isn't known how it ended: %+v", b.Status)
	case b.Status.Message != "no space left", b.Status.Consistency != v1alpha1.Proven, !b.Status.CompletionTime.Equal(whole.Status.CompletionTime):
		t.Errorf("its end is told as %+v", b.Status)
	case b.Spec.ApplicationRef != whole.Spec.ApplicationRef, b.UID != "1", b.ResourceVersion != "7", b.Name != "b", b.Namespace != "shop":
		t.Errorf("it isn't known what it is: %+v", b)
	case len(b.Labels) != 1, len(b.Annotations) != 2, b.Annotations[v1alpha1.AnnotationKeep] != "true":
		t.Errorf("kept are the labels %v, the annotations %v", b.Labels, b.Annotations)
	case len(b.Finalizers) != 1, b.Status.Volumes[0].Driver != "", len(b.Status.Conditions) != 1, b.Status.Conditions[0].Message != "":
		t.Errorf("what nobody needs is kept: %+v", b)
	}
	if kept, err := OnlyOutcome(goesOn.DeepCopy()); err != nil || len(kept.(*v1alpha1.VolumeBackup).Finalizers) == 0 {
		t.Errorf("of one that goes on all is kept: %+v, %v", kept, err)
	}
}

// Of a backup that goes on what its owner may make long isn't kept, and all that is
// asked of the cache is.
func TestWhatIsKeptOfALargeBackup(t *testing.T) {
	long := []string{strings.Repeat("x", 64<<10)}
	b := intended(v1alpha1.MethodHooks)
	b.Name, b.Labels = "b", map[string]string{v1alpha1.LabelPolicy: "nightly"}
	b.Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": long[0], v1alpha1.AnnotationScheduledAt: "2025-11-26T02:00:00Z"}
	b.Spec.Quiesce = &v1alpha1.QuiesceSpec{Pre: &v1alpha1.HookCommand{Command: long}, Post: &v1alpha1.HookCommand{Command: long}}
	b.Status.Quiesce.Pods[0].Post = long
	b.Status.Unthawed = b.Status.Quiesce.DeepCopy()
	b.Status.Volumes[0].Claim = &v1alpha1.BackedUpClaim{Annotations: map[string]string{"a": long[0]}}
	b.Status.Warnings = long
	kept, err := OnlyOutcome(b.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	o := kept.(*v1alpha1.VolumeBackup)
	if size := limits.Bytes(o); size > 2<<10 {
		t.Errorf("it keeps %d bytes of %d", size, limits.Bytes(b))
	}
	if !mayHoldAny(o, []types.UID{"p"}) || !cut.Names(o, "s") || turnOf(o) != turnOf(b) || !mayBegin(o).Equal(mayBegin(b)) || mayBeFrozen(o) == nil {
		t.Errorf("it isn't known how far it is: %+v", o)
	}
}

// What is kept of a snapshot and its content tells of the cut as they do, however
// often a cache asks.
func TestWhatIsKeptOfASnapshot(t *testing.T) {
	snap, content := cutAndReady()
	keptSnap, keptContent := only(t, only(t, snap)), only(t, only(t, content))
	if want, got := cut.Observe(snap, content), cut.Observe(keptSnap, keptContent); !got.Cut || !got.Ready || !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("they tell %+v, and tell by themselves %+v", got, want)
	}
	uid, backup := ownerOf(keptSnap)
	if uid != "1" || backup != "b" || backupOf(t.Context(), keptSnap)[0].Name != "b" || keyOf(keptContent) != keyOf(snap) || *keptSnap.Spec.Source.PersistentVolumeClaimName != "data" {
		t.Errorf("whose they are isn't known: %+v, %+v", keptSnap, keptContent)
	}
	if keptSnap.Labels != nil || keptSnap.Spec.VolumeSnapshotClassName != nil || keptContent.Spec.SourceVolumeMode != nil {
		t.Errorf("too much is kept: %+v, %+v", keptSnap, keptContent)
	}
	snap.Status.ReadyToUse = nil
	if unready := only(t, snap); unready.Spec.VolumeSnapshotClassName == nil {
		t.Error("one that isn't ready may have to be discarded by its class")
	}
}

// cutAndReady are a snapshot of a group and its content.
func cutAndReady() (*snapshotv1.VolumeSnapshot, *snapshotv1.VolumeSnapshotContent) {
	const contentName = "snapcontent-2"
	at := time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC)
	snap := &snapshotv1.VolumeSnapshot{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "s", UID: "2", Annotations: map[string]string{annotationBackup: "b"},
			Labels:          map[string]string{v1alpha1.LabelBackupUID: "1", v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: cut.GroupAPI + "/v1", Kind: kindGroup, Name: "g", UID: "3"}},
		},
		Spec: snapshotv1.VolumeSnapshotSpec{
			VolumeSnapshotClassName: ptr.To("fast"),
			Source:                  snapshotv1.VolumeSnapshotSource{PersistentVolumeClaimName: ptr.To("data")},
		},
		Status: &snapshotv1.VolumeSnapshotStatus{
			BoundVolumeSnapshotContentName: ptr.To(contentName), ReadyToUse: ptr.To(true),
			CreationTime: ptr.To(metav1.NewTime(at)), RestoreSize: resource.NewQuantity(1<<20, resource.BinarySI),
		},
	}
	content := &snapshotv1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{Name: contentName, UID: "4"},
		Spec:       snapshotv1.VolumeSnapshotContentSpec{Driver: "a.driver", SourceVolumeMode: ptr.To(corev1.PersistentVolumeFilesystem)},
		Status: &snapshotv1.VolumeSnapshotContentStatus{
			SnapshotHandle: ptr.To("h"), CreationTime: ptr.To(at.UnixNano()), RestoreSize: ptr.To[int64](1 << 20),
		},
	}
	content.Spec.VolumeSnapshotRef.Namespace, content.Spec.VolumeSnapshotRef.Name, content.Spec.VolumeSnapshotRef.UID = "shop", "s", "2"
	return snap, content
}

// What others write on a snapshot doesn't make it a backup's own.
func TestWhoseASnapshotIs(t *testing.T) {
	snap, _ := cutAndReady()
	snap.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "VolumeBackup", Name: "other", UID: "9"}}
	for what, s := range map[string]*snapshotv1.VolumeSnapshot{"in the cluster": snap, "in the cache": only(t, snap)} {
		if uid, name := ownerOf(s); uid != "1" || name != "b" {
			t.Errorf("%s it is that of %s, %s", what, uid, name)
		}
	}
}

// Maps that say the same are one, and those that don't are their own.
func TestSharedMaps(t *testing.T) {
	var s sharedMaps
	said := func(policy, other string) map[string]string {
		return s.ours(map[string]string{v1alpha1.LabelPolicy: policy, "team": other})
	}
	first := said("nightly", "a")
	if len(first) != 1 || first[v1alpha1.LabelPolicy] != "nightly" {
		t.Fatalf("ours of it are %v", first)
	}
	isFirst := func(m map[string]string) bool {
		return reflect.ValueOf(m).Pointer() == reflect.ValueOf(first).Pointer()
	}
	if !isFirst(said("nightly", "b")) || isFirst(said("hourly", "a")) {
		t.Error("it isn't shared with what says the same, or with what says something else")
	}
	if s.ours(map[string]string{"team": "a"}) != nil {
		t.Error("nothing of it is ours")
	}
	if long := s.ours(map[string]string{v1alpha1.LabelPolicy: "nightly", "lull.dev/x": strings.Repeat("x", limits.AnnotationBytes+1)}); !isFirst(long) {
		t.Errorf("what is longer than any of ours is kept: %d keys", len(long))
	}
	for i := range 3 * rememberedMaps {
		said(strconv.Itoa(i), "")
	}
	if known := len(s.newer) + len(s.older); known > 2*rememberedMaps {
		t.Errorf("%d are known", known)
	}
}

// What had ended before this manager is not reconciled, but its metrics are known:
// of what is being deleted, or goes on, they come with the reconcile.
func TestWhatEndedBefore(t *testing.T) {
	ended := time.Date(2026, 11, 26, 2, 0, 0, 0, time.UTC)
	in := func(namespace string, change func(*v1alpha1.VolumeBackup)) (event.CreateEvent, series) {
		b := &v1alpha1.VolumeBackup{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "b", Labels: map[string]string{v1alpha1.LabelPolicy: "nightly"}},
			Status: v1alpha1.VolumeBackupStatus{
				CompletionTime: ptr.To(metav1.NewTime(ended)),
				Conditions:     []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}},
			},
		}
		change(b)
		return event.CreateEvent{Object: b}, series{namespace, "nightly"}
	}
	for what, c := range map[string]struct {
		change       func(*v1alpha1.VolumeBackup)
		isReconciled bool
	}{
		"ended":      {func(*v1alpha1.VolumeBackup) {}, false},
		"goes on":    {func(b *v1alpha1.VolumeBackup) { b.Status.Conditions = nil }, true},
		"is deleted": {func(b *v1alpha1.VolumeBackup) { b.DeletionTimestamp = ptr.To(metav1.Now()) }, true},
	} {
		e, its := in("what-"+strings.ReplaceAll(what, " ", "-"), c.change)
		if unlessEndedBefore.Create(e) != c.isReconciled {
			t.Errorf("%s: it is reconciled: %t", what, !c.isReconciled)
		}
		noteEndedBefore(t.Context(), e, nil)
		if isNoted := successes.newest[its].Equal(ended); isNoted == c.isReconciled {
			t.Errorf("%s: its success is noted: %t", what, isNoted)
		}
		successes.forget(its)
	}
}

func only[T interface {
	DeepCopy() T
}](t *testing.T, obj T) T {
	t.Helper()
	kept, err := onlyCut(obj.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	return kept.(T)
}

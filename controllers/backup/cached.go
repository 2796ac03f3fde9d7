package backup

import (
	"maps"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

// A cluster has many more backups that have ended than ones that go on. What the
// cache keeps of them decides how much memory a manager needs. Whatever is acted
// on is read past the cache.

// OnlyOutcome is the transform of a cache that keeps of a backup that has ended
// how, what it is of, when it was due or cut, and what is its own. Of one that
// goes on it keeps all.
func OnlyOutcome(obj any) (any, error) {
	b, ok := obj.(*v1alpha1.VolumeBackup)
	if !ok {
		return obj, nil
	}
	b.ManagedFields = nil
	if !cut.Ended(b) {
		return b, nil
	}
	return &v1alpha1.VolumeBackup{
		ObjectMeta: identityOf(b),
		Spec: v1alpha1.VolumeBackupSpec{
			ApplicationRef: b.Spec.ApplicationRef,
			BackupSettings: v1alpha1.BackupSettings{DeletionPolicy: b.Spec.DeletionPolicy},
		},
		Status: v1alpha1.VolumeBackupStatus{
			Consistency:    b.Status.Consistency,
			CompletionTime: b.Status.CompletionTime,
			Message:        failureOf(b),
			Quiesce:        lastMarks(b),
			Unthawed:       onlyMarks(b.Status.Unthawed),
			Volumes:        onlySnapshots(b.Status.Volumes),
			Conditions:     onlyEnd(b.Status.Conditions),
		},
	}, nil
}

// identityOf is what an object is told apart by, and what is ours of its
// annotations and labels.
func identityOf(obj metav1.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: obj.GetNamespace(), Name: obj.GetName(), UID: obj.GetUID(),
		ResourceVersion: obj.GetResourceVersion(), Generation: obj.GetGeneration(),
		CreationTimestamp: obj.GetCreationTimestamp(), DeletionTimestamp: obj.GetDeletionTimestamp(),
		OwnerReferences: obj.GetOwnerReferences(),
		Labels:          onlyOurs(obj.GetLabels()), Annotations: onlyOurs(obj.GetAnnotations()),
	}
}

// onlyOurs leaves out the keys of others. The map is the cache's own.
func onlyOurs(all map[string]string) map[string]string {
	maps.DeleteFunc(all, func(key, _ string) bool { return !strings.HasPrefix(key, v1alpha1.GroupVersion.Group+"/") })
	if len(all) == 0 {
		return nil
	}
	return all
}

func failureOf(b *v1alpha1.VolumeBackup) string {
	for _, c := range b.Status.Conditions {
		if c.Type == v1alpha1.ConditionFailed && c.Status == metav1.ConditionTrue {
			return b.Status.Message
		}
	}
	return ""
}

// lastMarks are those of the newest attempt, nil where nobody asks for them: it is
// thawed, was due by a schedule and left no group.
func lastMarks(b *v1alpha1.VolumeBackup) *v1alpha1.QuiesceStatus {
	q := b.Status.Quiesce
	if q == nil || !cut.Open(q) && q.GroupSnapshotName == "" && b.Annotations[v1alpha1.AnnotationScheduledAt] != "" {
		return nil
	}
	return onlyMarks(q)
}

// onlyMarks are those of an attempt that tell whether it is thawed, when it cut
// and what it left.
func onlyMarks(q *v1alpha1.QuiesceStatus) *v1alpha1.QuiesceStatus {
	if q == nil {
		return nil
	}
	return &v1alpha1.QuiesceStatus{
		Method: q.Method, CutAt: q.CutAt, ThawedAt: q.ThawedAt, ThawGivenUpAt: q.ThawGivenUpAt,
		GroupSnapshotName: q.GroupSnapshotName, Failure: q.Failure,
	}
}

func onlySnapshots(volumes []v1alpha1.VolumeStatus) []v1alpha1.VolumeStatus {
	only := make([]v1alpha1.VolumeStatus, len(volumes))
	for i, v := range volumes {
		only[i] = v1alpha1.VolumeStatus{ClaimName: v.ClaimName, SnapshotName: v.SnapshotName}
	}
	return only
}

// onlyEnd are the conditions that hold and end a backup.
func onlyEnd(conditions []metav1.Condition) []metav1.Condition {
	var only []metav1.Condition
	for _, c := range conditions {
		isEnd := c.Type == v1alpha1.ConditionComplete || c.Type == v1alpha1.ConditionFailed
		if isEnd && c.Status == metav1.ConditionTrue {
			only = append(only, metav1.Condition{Type: c.Type, Status: c.Status})
		}
	}
	return only
}

// labelBackupName has in the cache what the annotation says. In the cluster it may
// be too long for a label.
const labelBackupName = annotationBackup

// OnlyCut is the transform of a cache that keeps of snapshots and contents whose
// they are and what they tell of the cut.
func OnlyCut(obj any) (any, error) {
	switch o := obj.(type) {
	case *snapshotv1.VolumeSnapshot:
		uid, name := o.Labels[v1alpha1.LabelBackupUID], o.Annotations[annotationBackup]
		o.Labels, o.Annotations = nil, nil
		only := &snapshotv1.VolumeSnapshot{ObjectMeta: identityOf(o), Status: o.Status}
		if uid != "" { // in one map: each takes as much as all the rest
			only.Labels = map[string]string{v1alpha1.LabelBackupUID: uid, labelBackupName: name}
		}
		if o.Status == nil || !ptr.Deref(o.Status.ReadyToUse, false) {
			only.Spec = o.Spec
		}
		return only, nil
	case *snapshotv1.VolumeSnapshotContent:
		kept := identityOf(o)
		kept.Labels, kept.Annotations = nil, nil
		ref := o.Spec.VolumeSnapshotRef
		only := &snapshotv1.VolumeSnapshotContent{ObjectMeta: kept, Status: o.Status}
		only.Spec.VolumeSnapshotRef.Namespace, only.Spec.VolumeSnapshotRef.Name, only.Spec.VolumeSnapshotRef.UID = ref.Namespace, ref.Name, ref.UID
		return only, nil
	}
	return obj, nil
}

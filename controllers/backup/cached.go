package backup

import (
	"context"
	"slices"
	"unique"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

// A cluster has many more backups that have ended than ones that go on. What the
// cache keeps of them decides how much memory a manager needs. Whatever is acted
// on is read past the cache.

// OnlyOutcome is the transform of a cache that keeps of a backup that has ended
// how, what it is of, when it was due or cut, and what is its own. Of one that
// goes on it keeps all but what may be long. What it made itself it leaves as it is: it is asked twice,
// for what is there at the start and once it goes into the cache.
func OnlyOutcome(obj any) (any, error) {
	b, ok := obj.(*v1alpha1.VolumeBackup)
	if !ok || isOnlyOutcome(b) {
		return obj, nil
	}
	b.ManagedFields = nil
	if !cut.Ended(b) {
		return withoutLong(b), nil
	}
	identity := identityOf(b)
	if controllerutil.ContainsFinalizer(b, v1alpha1.FinalizerVolumeBackup) {
		identity.Finalizers = ourFinalizer
	}
	return &v1alpha1.VolumeBackup{
		ObjectMeta: identity,
		Spec: v1alpha1.VolumeBackupSpec{
			ApplicationRef: v1alpha1.ApplicationReference{Kind: one(b.Spec.ApplicationRef.Kind), Name: one(b.Spec.ApplicationRef.Name)},
			BackupSettings: v1alpha1.BackupSettings{DeletionPolicy: one(b.Spec.DeletionPolicy)},
		},
		Status: v1alpha1.VolumeBackupStatus{
			Consistency:    one(b.Status.Consistency),
			CompletionTime: b.Status.CompletionTime,
			Message:        failureOf(b),
			Quiesce:        lastMarks(b),
			Unthawed:       onlyMarks(b.Status.Unthawed),
			Volumes:        onlySnapshots(b.Status.Volumes),
			Conditions:     onlyEnd(b.Status.Conditions),
		},
	}, nil
}

// ourFinalizer is what is kept of the finalizers of a backup that has ended. All share it.
var ourFinalizer = []string{v1alpha1.FinalizerVolumeBackup}

// withoutLong is a backup that goes on without what takes the most room in it: who
// made it decides how long its commands are, and what its claims carry.
func withoutLong(b *v1alpha1.VolumeBackup) *v1alpha1.VolumeBackup {
	b.Labels, b.Annotations = shared.ours(b.Labels), shared.ours(b.Annotations)
	b.Spec.Volumes, b.Spec.Quiesce, b.Status.Warnings = v1alpha1.VolumeSelection{}, nil, nil
	for i := range b.Status.Volumes {
		b.Status.Volumes[i].Claim = nil
	}
	for _, q := range []*v1alpha1.QuiesceStatus{b.Status.Quiesce, b.Status.Unthawed} {
		if q == nil {
			continue
		}
		for i := range q.Pods {
			q.Pods[i].Post = nil
		}
	}
	return b
}

// identityOf is what an object is told apart by, and what is ours of its
// annotations and labels.
func identityOf(obj metav1.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: one(obj.GetNamespace()), Name: obj.GetName(), UID: obj.GetUID(),
		ResourceVersion: obj.GetResourceVersion(), Generation: obj.GetGeneration(),
		CreationTimestamp: obj.GetCreationTimestamp(), DeletionTimestamp: obj.GetDeletionTimestamp(),
		OwnerReferences: obj.GetOwnerReferences(),
		Labels:          shared.ours(obj.GetLabels()), Annotations: shared.ours(obj.GetAnnotations()),
	}
}

// one has what many objects say be in memory once.
func one[T ~string](said T) T { return unique.Make(said).Value() }

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
		only[i] = v1alpha1.VolumeStatus{SnapshotName: v.SnapshotName}
	}
	return only
}

// onlyEnd are the conditions that say how a backup has ended, and why its snapshots
// aren't there where they aren't. All backups that ended alike share them.
func onlyEnd(conditions []metav1.Condition) []metav1.Condition {
	isComplete := meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionComplete)
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionSnapshotsReady)
	switch {
	case !isComplete:
		return endFailed
	case ready == nil || ready.Status == metav1.ConditionTrue || endsWithout[ready.Reason] == nil:
		return endComplete
	}
	return endsWithout[ready.Reason]
}

func isOnlyOutcome(b *v1alpha1.VolumeBackup) bool {
	c := b.Status.Conditions
	return len(c) > 0 && cut.Ended(b) && &c[0] == &onlyEnd(c)[0]
}

var (
	endFailed   = []metav1.Condition{{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue}}
	endComplete = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
	endsWithout = map[string][]metav1.Condition{
		v1alpha1.ReasonOnlyExported: withoutSnapshots(v1alpha1.ReasonOnlyExported),
		v1alpha1.ReasonSnapshotLost: withoutSnapshots(v1alpha1.ReasonSnapshotLost),
	}
)

func withoutSnapshots(reason string) []metav1.Condition {
	return append(slices.Clone(endComplete), metav1.Condition{Type: v1alpha1.ConditionSnapshotsReady, Status: metav1.ConditionFalse, Reason: reason})
}

// hasEndedBefore is true for a backup that had ended when this manager first saw
// it. Of those there may be very many, and nothing is to do about them: what an
// attempt left wakes its backup by itself.
func hasEndedBefore(e event.CreateEvent) bool {
	b, is := e.Object.(*v1alpha1.VolumeBackup)
	return is && cut.Ended(b) && b.DeletionTimestamp.IsZero() && !lacksFinalizer(b)
}

var unlessEndedBefore = predicate.Funcs{CreateFunc: func(e event.CreateEvent) bool { return !hasEndedBefore(e) }}

// noteEndedBefore has the metrics know of what nothing else is done about.
func noteEndedBefore(_ context.Context, e event.CreateEvent, _ queue) {
	if b, is := e.Object.(*v1alpha1.VolumeBackup); is && hasEndedBefore(e) {
		noteMetrics(client.ObjectKeyFromObject(b), b)
	}
}

// onlyCut leaves of snapshots and contents whose they are and what they tell of the
// cut. What it made itself it leaves as it is: it may be asked twice, for a list
// as it comes and for what is in it.
func onlyCut(obj any) (any, error) {
	switch o := obj.(type) {
	case *snapshotv1.VolumeSnapshot:
		return onlyOwned(o), nil
	case *snapshotv1.VolumeSnapshotContent:
		return onlyHandle(o), nil
	}
	return obj, nil
}

// onlyOwned has in an owner, as ownerOf reads it, what labels and annotations
// say: a map takes more memory than all the rest.
func onlyOwned(o *snapshotv1.VolumeSnapshot) *snapshotv1.VolumeSnapshot {
	if len(o.Labels) == 0 {
		return o
	}
	uid, name := ownerOf(o)
	o.Labels, o.Annotations, o.OwnerReferences = nil, nil, nil
	only := &snapshotv1.VolumeSnapshot{ObjectMeta: identityOf(o), Status: o.Status}
	if uid != "" || name != "" {
		only.OwnerReferences = []metav1.OwnerReference{{UID: uid, Name: name}}
	}
	only.Spec.Source.PersistentVolumeClaimName = o.Spec.Source.PersistentVolumeClaimName // its name follows from it
	switch {
	case o.Status == nil || !ptr.Deref(o.Status.ReadyToUse, false):
		only.Spec = o.Spec
	case o.Status.Error == nil:
		only.Status = statusReady
	}
	return only
}

var statusReady = &snapshotv1.VolumeSnapshotStatus{ReadyToUse: ptr.To(true)}

// onlyHandle has whose a content is, and what it tells of the cut.
func onlyHandle(o *snapshotv1.VolumeSnapshotContent) *snapshotv1.VolumeSnapshotContent {
	only := &snapshotv1.VolumeSnapshotContent{Status: o.Status}
	only.UID, only.Name, only.ResourceVersion, only.DeletionTimestamp = o.UID, o.Name, o.ResourceVersion, o.DeletionTimestamp
	ref := o.Spec.VolumeSnapshotRef
	only.Spec.VolumeSnapshotRef.Namespace, only.Spec.VolumeSnapshotRef.Name, only.Spec.VolumeSnapshotRef.UID = ref.Namespace, ref.Name, ref.UID
	only.Spec.Driver = one(o.Spec.Driver)
	return only
}

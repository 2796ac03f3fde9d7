package cut

import (
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Observed is what the objects say of one snapshot.
type Observed struct {
	// Exists is false where there is no VolumeSnapshot, or it is being deleted.
	Exists bool
	// Cut is true once the storage holds the volume as it was at one instant.
	Cut bool
	// Ready is true once it can be restored. A snapshot that isn't cut isn't
	// ready, whatever it says.
	Ready bool
	// Error is the driver's newest complaint, empty where there is none.
	Error string
	// Hint says what may be amiss where nothing is cut, empty where nothing is
	// known.
	Hint string
	// Group is the UID of the group that it is cut in, empty where it is cut
	// alone.
	Group types.UID

	ContentName  string
	CreationTime *metav1.Time
	RestoreSize  *resource.Quantity
}

// Observe reads a snapshot and its content, either of which may be nil. The
// content counts only where both point at each other: a name alone can be
// somebody else's.
func Observe(snap *snapshotv1.VolumeSnapshot, content *snapshotv1.VolumeSnapshotContent) Observed {
	if snap == nil || !snap.DeletionTimestamp.IsZero() {
		return Observed{}
	}
	o := Observed{Exists: true}
	status := ptr.Deref(snap.Status, snapshotv1.VolumeSnapshotStatus{})
	o.Error = message(status.Error)
	if content == nil || !paired(snap, content) {
		return o
	}
	o.ContentName = content.Name
	inner := ptr.Deref(content.Status, snapshotv1.VolumeSnapshotContentStatus{})
	if o.Error == "" {
		o.Error = message(inner.Error)
	}
	o.Cut = status.CreationTime != nil || ptr.Deref(inner.SnapshotHandle, "") != ""
	o.Ready = o.Cut && ptr.Deref(status.ReadyToUse, false)
	o.CreationTime = creationTime(status, inner)
	o.RestoreSize = restoreSize(status, inner)
	return o
}

// ContentName is the name of the content that belongs to snap: as its status
// says, or, a moment before that is written, as the snapshot controller names
// what it makes (external-snapshotter, GetDynamicSnapshotContentNameForSnapshot).
func ContentName(snap *snapshotv1.VolumeSnapshot) string {
	if snap.Status != nil && ptr.Deref(snap.Status.BoundVolumeSnapshotContentName, "") != "" {
		return *snap.Status.BoundVolumeSnapshotContentName
	}
	return "snapcontent-" + string(snap.UID)
}

func paired(snap *snapshotv1.VolumeSnapshot, content *snapshotv1.VolumeSnapshotContent) bool {
	return content.Spec.VolumeSnapshotRef.UID == snap.UID && content.Name == ContentName(snap)
}

func message(err *snapshotv1.VolumeSnapshotError) string {
	if err == nil {
		return ""
	}
	return ptr.Deref(err.Message, "the driver gave no reason")
}

func creationTime(status snapshotv1.VolumeSnapshotStatus, inner snapshotv1.VolumeSnapshotContentStatus) *metav1.Time {
	if status.CreationTime != nil || inner.CreationTime == nil {
		return status.CreationTime
	}
	t := metav1.Unix(0, *inner.CreationTime)
	return &t
}

func restoreSize(status snapshotv1.VolumeSnapshotStatus, inner snapshotv1.VolumeSnapshotContentStatus) *resource.Quantity {
	if status.RestoreSize != nil || inner.RestoreSize == nil {
		return status.RestoreSize
	}
	return resource.NewQuantity(*inner.RestoreSize, resource.BinarySI)
}

// Record writes what was observed into a volume's status.
func Record(v *v1alpha1.VolumeStatus, o Observed) {
	v.ReadyToUse = o.Ready
	if o.ContentName != "" {
		v.ContentName = o.ContentName
	}
	if o.CreationTime != nil {
		v.CreationTime = o.CreationTime
	}
	if o.RestoreSize != nil {
		v.RestoreSize = o.RestoreSize
	}
}

package cut

import (
	"cmp"
	"fmt"

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
	// GroupHandle is what the driver calls that group.
	GroupHandle string
	// Replaced says by what the snapshot isn't the one that is on record, empty
	// where it is. Of another one nothing else is said.
	Replaced string

	Identity     Identity
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
	o := Observed{Exists: true, Identity: IdentityOf(snap, content)}
	status := ptr.Deref(snap.Status, snapshotv1.VolumeSnapshotStatus{})
	o.Error = message(status.Error)
	if content == nil || !paired(snap, content) {
		return o
	}
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

// ObserveRecorded reads a snapshot and its content as those of a volume: they have
// to be the very ones that are on record, as far as there is one.
func ObserveRecorded(v *v1alpha1.VolumeStatus, snap *snapshotv1.VolumeSnapshot, content *snapshotv1.VolumeSnapshotContent) Observed {
	if differs := Recorded(v).Differs(IdentityOf(snap, content)); differs != "" {
		return Observed{Replaced: fmt.Sprintf("VolumeSnapshot %s of claim %s was replaced by another: %s", v.SnapshotName, v.ClaimName, differs)}
	}
	return Observe(snap, content)
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

// Record writes what was observed into a volume's status. An identity that is on
// record stays: what is observed was compared with it.
func Record(v *v1alpha1.VolumeStatus, o Observed) {
	v.ReadyToUse = o.Ready
	v.SnapshotUID = cmp.Or(v.SnapshotUID, o.Identity.UID)
	v.ContentName = cmp.Or(v.ContentName, o.Identity.ContentName)
	v.ContentUID = cmp.Or(v.ContentUID, o.Identity.ContentUID)
	v.SnapshotHandle = cmp.Or(v.SnapshotHandle, o.Identity.Handle)
	if o.CreationTime != nil {
		v.CreationTime = o.CreationTime
	}
	if o.RestoreSize != nil {
		v.RestoreSize = o.RestoreSize
	}
}

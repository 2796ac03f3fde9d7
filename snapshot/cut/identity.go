package cut

import (
	"fmt"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Identity tells a snapshot from every other one that has, had or gets its name.
// A field that is empty isn't known, and isn't compared: a backup of an earlier
// version has recorded only some of them.
type Identity struct {
	// UID is that of the VolumeSnapshot.
	UID types.UID
	// ContentName and ContentUID are of its VolumeSnapshotContent.
	ContentName string
	ContentUID  types.UID
	// Driver cut it, and calls the copy by Handle.
	Driver, Handle string
}

// Recorded is the identity that a backup has on record of a volume's snapshot.
func Recorded(v *v1alpha1.VolumeStatus) Identity {
	return Identity{UID: v.SnapshotUID, ContentName: v.ContentName, ContentUID: v.ContentUID, Driver: v.Driver, Handle: v.SnapshotHandle}
}

// IdentityOf is the identity of a snapshot and its content, either of which may
// be nil. A content that isn't the snapshot's own doesn't count.
func IdentityOf(snap *snapshotv1.VolumeSnapshot, content *snapshotv1.VolumeSnapshotContent) Identity {
	var i Identity
	if snap != nil {
		i.UID = snap.UID
		if snap.Status != nil {
			i.ContentName = ptr.Deref(snap.Status.BoundVolumeSnapshotContentName, "")
		}
	}
	if content == nil || snap != nil && !paired(snap, content) {
		return i
	}
	i.ContentName, i.ContentUID, i.Driver = content.Name, content.UID, content.Spec.Driver
	if content.Status != nil {
		i.Handle = ptr.Deref(content.Status.SnapshotHandle, "")
	}
	return i
}

// Differs says by what a snapshot that is there isn't this one, empty where
// nothing speaks against it.
func (i Identity) Differs(there Identity) string {
	for _, c := range []struct{ what, expected, found string }{
		{"UID", string(i.UID), string(there.UID)},
		{"VolumeSnapshotContent", i.ContentName, there.ContentName},
		{"UID of its VolumeSnapshotContent", string(i.ContentUID), string(there.ContentUID)},
		{"driver", i.Driver, there.Driver},
		{"snapshotHandle", i.Handle, there.Handle},
	} {
		if c.expected != "" && c.found != "" && c.expected != c.found {
			return fmt.Sprintf("the %s should be %s and is %s", c.what, c.expected, c.found)
		}
	}
	return ""
}

// Standing is what a snapshot, which carries the marks of a backup, is to it. The
// marks alone say nothing: anybody can write them.
type Standing string

// The standings.
const (
	// StandingOther: it isn't the backup's, and is left alone.
	StandingOther Standing = "Other"
	// StandingKept: it is the one that the status records, or one of the group
	// that the volumes were cut in.
	StandingKept Standing = "Kept"
	// StandingOrphan: an attempt of the backup made it, and it proves nothing.
	StandingOrphan Standing = "Orphan"
)

// StandingOf is the standing of a snapshot. group is the handle of the group that
// its content is of, empty where it is of none or nobody has looked.
func StandingOf(b *v1alpha1.VolumeBackup, snap *snapshotv1.VolumeSnapshot, group string) Standing {
	for i := range b.Status.Volumes {
		if v := &b.Status.Volumes[i]; v.SnapshotName == snap.Name {
			if Recorded(v).Differs(IdentityOf(snap, nil)) != "" {
				return StandingOther
			}
			return StandingKept
		}
	}
	q := b.Status.Quiesce
	switch {
	case IsMade(b, snap):
		return StandingOrphan
	case group != "" && q != nil && q.Failure == "" && q.GroupSnapshotHandle == group:
		return StandingKept
	}
	return StandingOther
}

// IsMade is true for a snapshot that has a name which only an attempt of the
// backup gives to a snapshot of its claim.
func IsMade(b *v1alpha1.VolumeBackup, snap *snapshotv1.VolumeSnapshot) bool {
	claim := ptr.Deref(snap.Spec.Source.PersistentVolumeClaimName, "")
	return claim != "" && isAttempts(b, claim, snap.Name)
}

// IsGroup is true for a group, by its name and UID, that an attempt of the backup
// made.
func IsGroup(b *v1alpha1.VolumeBackup, name string, uid types.UID) bool {
	if q := b.Status.Quiesce; name == KeptGroup(b) && q != nil && q.GroupSnapshotUID != "" && q.GroupSnapshotUID != uid {
		return false
	}
	return isAttempts(b, groupPart, name)
}

func isAttempts(b *v1alpha1.VolumeBackup, of, name string) bool {
	for attempt := range int32(maxAttempts) {
		if Name(b.Name, b.UID, of, attempt+1) == name {
			return true
		}
	}
	return false
}

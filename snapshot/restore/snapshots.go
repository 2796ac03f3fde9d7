package restore

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

// ReadsSnapshots is true while claims, or the clones that paths are copied from, are
// made of snapshots. By the end of that time all that was to be read has been.
func ReadsSnapshots(r *v1alpha1.VolumeRestore) bool {
	read := v1alpha1.ConditionClaimsReady
	if IsFilled(r) {
		read = v1alpha1.ConditionClaimsFilled
	}
	return !IsFromRepository(r) && !WayOf(r).IsBack && !holds(r, read)
}

func (in *Input) snapshotUID(v v1alpha1.VolumeStatus) types.UID {
	if snap := in.Snapshots[v.SnapshotName]; snap != nil {
		return snap.UID
	}
	return ""
}

// needsNoSnapshot is true for a claim whose volume is made, or the volume of the clone
// that its paths are copied from: a person may delete the backup by then.
func (s *State) needsNoSnapshot(c *v1alpha1.RestoredClaim) bool {
	if isCopied(c) {
		return c.Fill.CloneUID != "" || c.Fill.FilledAt != nil
	}
	return heldVolume(s.Claims[NewClaimName(c)]) != ""
}

// checkSources refuses to go on where a snapshot isn't any more the one that was
// resolved. Claims are made by a snapshot's name, but a UID never comes back: where
// it is the same before a claim is made and after it is bound, it was the same in
// between.
func checkSources(s *State) Need {
	if !ReadsSnapshots(s.Restore) {
		return Need{}
	}
	for c := range s.claims() {
		if c.SnapshotName == "" || c.SnapshotUID == "" {
			continue // resolved by an earlier version
		}
		snap := s.Snapshots[c.SnapshotName]
		if snap == nil && s.needsNoSnapshot(c) {
			continue
		}
		if snap == nil {
			return stuck(v1alpha1.ReasonSnapshotNotFound, "VolumeSnapshot %s of claim %s was deleted while it was restored: restore from another backup", c.SnapshotName, c.ClaimName)
		}
		if differs := (cut.Identity{UID: c.SnapshotUID}).Differs(cut.IdentityOf(snap, nil)); differs != "" {
			return stuck(v1alpha1.ReasonSnapshotReplaced, "VolumeSnapshot %s of claim %s was replaced by another while it was restored: %s. Restore from another backup", c.SnapshotName, c.ClaimName, differs)
		}
	}
	return Need{}
}

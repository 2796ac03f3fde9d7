package restore

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Some paths of a snapshot in the cluster come back without a repository: the new
// claim is made empty, and a mover copies the paths into it from a clone of the
// snapshot, which is gone before the restore is complete.
//
//	VolumeSnapshot ── clone (read-only) ── mover ──> new claim,
//	                                                 or a folder of a claim that is there

// IsFilled is true for a restore whose claims are made empty and filled by movers.
// Those of the others are made from snapshots.
func IsFilled(r *v1alpha1.VolumeRestore) bool {
	return IsFromRepository(r) || len(r.Spec.Source.Paths) > 0
}

// isOfPaths is true for a restore of some paths of snapshots in the cluster.
func isOfPaths(r *v1alpha1.VolumeRestore) bool { return IsFilled(r) && !IsFromRepository(r) }

// fillOf is how a claim is filled, nil where it is made from its snapshot.
func (p *proposal) fillOf(v v1alpha1.VolumeStatus, c *v1alpha1.RestoredClaim) *v1alpha1.ClaimFill {
	if there := snapshotThere(p.Restore, v.ClaimName); there != nil {
		return &v1alpha1.ClaimFill{SnapshotID: there.SnapshotID}
	}
	if !isOfPaths(p.Restore) {
		return nil
	}
	return &v1alpha1.ClaimFill{Clone: p.cloneOf(v, c)}
}

// cloneOf is what a snapshot is cloned into to be read: it is like the claim that
// was backed up, whatever the new one is like.
func (p *proposal) cloneOf(v v1alpha1.VolumeStatus, c *v1alpha1.RestoredClaim) *v1alpha1.ClaimShape {
	was := ptr.Deref(v.Claim, v1alpha1.BackedUpClaim{})
	content := p.contentOf(c)
	clone := &v1alpha1.ClaimShape{
		Labels:           was.Labels,
		Annotations:      was.Annotations,
		AccessModes:      was.AccessModes,
		VolumeMode:       cmp.Or(content.Spec.SourceVolumeMode, was.VolumeMode),
		StorageClassName: p.cloneClass(content.Spec.Driver, was.StorageClassName, c.Shape.StorageClassName),
		Size:             largest(p.leastSize(v), was.Size, was.Capacity),
	}
	if len(clone.AccessModes) == 0 {
		clone.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	}
	if clone.Size.IsZero() {
		clone.Size = c.Shape.Size
	}
	return clone
}

// cloneClass is the first of the classes that is of the driver, else the one that
// is usual for it, nil where none is.
func (in *Input) cloneClass(driver string, classes ...*string) *string {
	for _, name := range classes {
		if class := in.Classes[ptr.Deref(name, "")]; class != nil && class.Provisioner == driver {
			return name
		}
	}
	return in.defaultClass(driver)
}

// isCopied is true for a claim that paths are copied into from a clone.
func isCopied(c *v1alpha1.RestoredClaim) bool { return c.Fill != nil && c.Fill.Clone != nil }

// checkPaths refuses paths of a device.
func checkPaths(p *proposal, c *v1alpha1.RestoredClaim) *v1alpha1.Problem {
	if len(p.Restore.Spec.Source.Paths) == 0 {
		return nil
	}
	isDevice := isCopied(c) && ptr.Deref(c.Fill.Clone.VolumeMode, "") == corev1.PersistentVolumeBlock
	if there := snapshotThere(p.Restore, c.ClaimName); there != nil {
		isDevice = modeThere(there) == corev1.PersistentVolumeBlock
	}
	if !isDevice {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonVolumeModeMismatch,
		"claim %s is a device of raw blocks, which has no paths: leave it out by spec.volumes.exclude, or restore it as a whole, without spec.source.paths", c.ClaimName)
}

// checkClone sees that a snapshot can be cloned to be read.
func checkClone(p *proposal, c *v1alpha1.RestoredClaim) *v1alpha1.Problem {
	if !isCopied(c) || c.Fill.Clone.StorageClassName != nil {
		return nil
	}
	driver := p.contentOf(c).Spec.Driver
	return v1alpha1.Problemf(v1alpha1.ReasonNoStorageClass,
		"paths are copied from a clone of the snapshot of claim %s, and of several or no StorageClasses of its driver %q none says that the clone is to be made by it: write one of that driver into spec.target.storageClassName", c.ClaimName, driver)
}

// FillFailed is why a claim could not be filled, and what to do. unreadable is true
// where the mover may not read all of a snapshot.
func FillFailed(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, cause, message string, unreadable bool) *v1alpha1.Problem {
	mend := ""
	switch {
	case unreadable && isOfPaths(r):
		mend = fmt.Sprintf(". A mover may read every file in a namespace that an administrator has annotated with %s=true", v1alpha1.AnnotationPrivilegedMovers)
	case len(r.Spec.Source.Paths) > 0 && len(r.Status.Claims) > 1:
		mend = ". The paths are asked of every claim: spec.volumes.include says of which alone"
	}
	return v1alpha1.Problemf(v1alpha1.ReasonFillFailed, "claim %s could not be filled from %s: %s: %s%s", c.ClaimName, SourceOf(r), cause, message, mend)
}

// OwnersNotRestored tells that files come back as those of one user.
func OwnersNotRestored(r *v1alpha1.VolumeRestore, user int64) Warning {
	mend := "Where the application needs other owners, have"
	if IsFromRepository(r) {
		mend = fmt.Sprintf("Where the application needs another one, name it in spec.mover.securityContext.runAsUser of %s. Where it needs several, set spec.mover.privileged there, and have", SourceOf(r))
	}
	return Warning{Reason: v1alpha1.ReasonOwnersNotRestored, Message: fmt.Sprintf(
		"the mover isn't privileged: every file will belong to user %d, whoever owned it. %s an administrator annotate the namespace with %s=true",
		user, mend, v1alpha1.AnnotationPrivilegedMovers)}
}

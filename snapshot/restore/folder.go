package restore

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// Paths may come back into a folder of a claim that is there already. Nothing is
// made then but the folder, and nothing is removed where the restore fails.

// IsIntoFolder is true for a restore into a folder of claims that are there.
func IsIntoFolder(r *v1alpha1.VolumeRestore) bool { return r.Spec.Target.TargetPath != "" }

// claimWithFolder is the claim that has the folder, or is to have it.
func (p *proposal) claimWithFolder(v v1alpha1.VolumeStatus) v1alpha1.RestoredClaim {
	name := cmp.Or(string(p.Restore.Spec.Target.Claims[v.ClaimName]), v.ClaimName)
	c := v1alpha1.RestoredClaim{ClaimName: v.ClaimName, SnapshotName: v.SnapshotName, RestoredClaim: name, OriginalClaim: originalOf(name, p.Claims[name])}
	c.SnapshotUID = p.snapshotUID(v)
	c.Shape = p.shape(name, v)
	c.Fill = p.fillOf(v, &c)
	return c
}

var folderChecks = []resolveCheck{
	{name: "each claim can have paths", objects: ofEach(checkPaths)},
	{name: "each snapshot can be cloned", objects: ofEach(checkClone)},
	{name: "each claim is there for the folder", objects: ofEach(checkFolderClaim)},
	{name: "each folder is another", objects: ofEach(checkFolderAlone)},
	{name: "no pod mounts the claim", objects: ofEach(func(p *proposal, c *v1alpha1.RestoredClaim) *v1alpha1.Problem {
		return checkUnused(p.Restore, p.Pods, c)
	})},
	{name: "all claims have room in the status", objects: checkRoom},
}

func checkFolderClaim(p *proposal, c *v1alpha1.RestoredClaim) *v1alpha1.Problem {
	claim := p.Claims[c.RestoredClaim]
	switch {
	case claim == nil:
		return v1alpha1.Problemf(v1alpha1.ReasonClaimNotFound,
			"there is no PersistentVolumeClaim %q to write into: name one by spec.target.claims: {%s: ...}, or leave out spec.target.targetPath to have a new claim made", c.RestoredClaim, c.ClaimName)
	case !claim.DeletionTimestamp.IsZero():
		return v1alpha1.Problemf(v1alpha1.ReasonClaimNotFound, "PersistentVolumeClaim %s, which is to be written into, is being deleted: name another by spec.target.claims", c.RestoredClaim)
	case claim.Status.Phase != corev1.ClaimBound:
		return v1alpha1.PassingProblemf(v1alpha1.ReasonClaimNotFound, "PersistentVolumeClaim %s, which is to be written into, has no volume yet", c.RestoredClaim)
	case ptr.Deref(claim.Spec.VolumeMode, "") == corev1.PersistentVolumeBlock:
		return v1alpha1.Problemf(v1alpha1.ReasonVolumeModeMismatch, "PersistentVolumeClaim %s is a device of raw blocks, which has no folders: name another by spec.target.claims", c.RestoredClaim)
	}
	return nil
}

func checkFolderAlone(p *proposal, c *v1alpha1.RestoredClaim) *v1alpha1.Problem {
	for _, other := range p.res.Claims {
		if other.ClaimName != c.ClaimName && other.RestoredClaim == c.RestoredClaim {
			return v1alpha1.Problemf(v1alpha1.ReasonClaimExists,
				"the paths of claims %s and %s would both be written into folder %s of PersistentVolumeClaim %q: say by spec.volumes.include of which claim they are", c.ClaimName, other.ClaimName, p.Restore.Spec.Target.TargetPath, c.RestoredClaim)
		}
	}
	return nil
}

// checkUnused refuses a claim that a pod mounts, or waits to mount. The restore's
// own movers don't count.
func checkUnused(r *v1alpha1.VolumeRestore, pods []corev1.Pod, c *v1alpha1.RestoredClaim) *v1alpha1.Problem {
	var users []string
	for _, pod := range workload.Unfinished(pods) {
		if pod.Labels[v1alpha1.LabelRestoreUID] != string(r.UID) && slices.Contains(workload.ClaimsOf(&pod), c.RestoredClaim) {
			users = append(users, pod.Name)
		}
	}
	if len(users) == 0 {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonClaimInUse,
		"PersistentVolumeClaim %s is mounted by %s, and nobody may use it while it is written into: stop what uses it, or leave out spec.target.targetPath to have a new claim made",
		c.RestoredClaim, names.List(users))
}

// Outcome is what a restore that touches no application comes to.
func Outcome(r *v1alpha1.VolumeRestore) string {
	if IsIntoFolder(r) {
		return "the paths are in folder " + r.Spec.Target.TargetPath + ", no application was touched"
	}
	return "the claims are there, no application was touched"
}

package snapshot

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// RestoredClaimName is the name of the claim that a restore makes for a claim
// of a backup. root is what the claim was called before any restore, so that
// names don't grow from restore to restore. At most 63 characters.
func RestoredClaimName(root string, restore types.UID, claim string) string {
	return shorten(root+"-restored", hash(string(restore), claim, "restored"))
}

// TemporaryClaimName is the name of the claim that holds a new volume until it
// gets the name of the claim that it replaces. At most 63 characters.
func TemporaryClaimName(restore string, uid types.UID, claim string) string {
	return shorten(restore+"-"+claim, hash(string(uid), claim, "temporary"))
}

// ProofPodName is the name of the pod that proves that a group of claims
// mounts. At most 63 characters.
func ProofPodName(restore string, uid types.UID, group string) string {
	return shorten(restore+"-proof", hash(string(uid), group, "proof"))
}

// rootOf is what a claim was called before it was restored, as the value of a
// label. Claims that were never restored are their own root.
func rootOf(name string, claim *corev1.PersistentVolumeClaim) string {
	if claim != nil && claim.Labels[v1alpha1.LabelRestoreUID] != "" && claim.Labels[v1alpha1.LabelClaim] != "" {
		return claim.Labels[v1alpha1.LabelClaim]
	}
	return LabelValue(name)
}

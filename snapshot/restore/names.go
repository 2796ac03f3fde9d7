package restore

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// RestoredClaimName is the name of the claim that a restore makes for a claim
// of a backup. original is what the claim was called before any restore, so
// that names don't grow from restore to restore. At most 63 characters.
func RestoredClaimName(original string, restore types.UID, claim string) string {
	return names.Unique(original+"-restored", string(restore), claim, "restored")
}

// previousClaimName is the name of the claim that is made for a previous volume
// whose claim's name is taken. At most 63 characters.
func previousClaimName(original string, restore types.UID, claim string) string {
	return names.Unique(original+"-previous", string(restore), claim, "previous")
}

// TemporaryClaimName is the name of the claim that holds a new volume until it
// gets the name of the claim that it replaces. At most 63 characters.
func TemporaryClaimName(restore string, uid types.UID, claim string) string {
	return names.Unique(restore+"-"+claim, string(uid), claim, "temporary")
}

// MountCheckPodName is the name of the pod that mounts a group of new claims. At
// most 63 characters.
func MountCheckPodName(restore string, uid types.UID, group string) string {
	return names.Unique(restore+"-mount-check", string(uid), group, "mount-check")
}

// originalOf is what a claim was called before any restore, as the value of a
// label. A claim that was never restored is its own original.
func originalOf(name string, claim *corev1.PersistentVolumeClaim) string {
	if claim != nil && claim.Labels[v1alpha1.LabelRestoreUID] != "" && claim.Labels[v1alpha1.LabelClaim] != "" {
		return claim.Labels[v1alpha1.LabelClaim]
	}
	return names.LabelValue(name)
}

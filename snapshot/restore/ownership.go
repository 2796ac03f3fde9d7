package restore

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// The manager may change every volume of the cluster, and a status can be forged.
// So whether a restore may change a volume follows from what only administrators
// and the operator write, never from the status:
//
//	it is bound    to a claim of the restore's namespace that is there, by its UID
//	it is marked   with the restore's UID, which is done while it is bound, and it
//	               is for no claim of another namespace
//
// That the claim which a volume was released from had this namespace is not
// enough: a namespace of that name may have been somebody else's before.

// foreign says why a volume isn't the restore's to change, empty where it is.
func (s *State) foreign(v *corev1.PersistentVolume) string {
	switch {
	case s.isOfAnother(v):
		return "belongs to a claim of another namespace"
	case s.isBoundHere(v), s.isMarked(v):
		return ""
	}
	return fmt.Sprintf("isn't bound to a claim of this namespace, nor labelled as this restore's (%s: %s)", v1alpha1.LabelRestoreUID, s.Restore.UID)
}

// isOfAnother is true for a volume of a claim of another namespace.
func (s *State) isOfAnother(v *corev1.PersistentVolume) bool {
	return v.Spec.ClaimRef != nil && v.Spec.ClaimRef.Namespace != s.Restore.Namespace
}

// unmarked are a volume that lacks the label of the restore, and all others of the
// restore that lack it: who took it off one has mostly done so with all.
func (s *State) unmarked(v *corev1.PersistentVolume) []string {
	all := []string{v.Name}
	for c := range s.claims() {
		for _, other := range []*corev1.PersistentVolume{s.previousVolume(c), s.restoredVolume(c)} {
			if other != nil && other.Name != v.Name && !s.isOfAnother(other) && s.foreign(other) != "" {
				all = append(all, other.Name)
			}
		}
	}
	return all
}

// markCommand marks them by hand.
func (s *State) markCommand(v *corev1.PersistentVolume) string {
	return fmt.Sprintf("kubectl label pv %s %s=%s --overwrite", strings.Join(s.unmarked(v), " "), v1alpha1.LabelRestoreUID, s.Restore.UID)
}

func (s *State) isBoundHere(v *corev1.PersistentVolume) bool {
	ref := v.Spec.ClaimRef
	return ref != nil && isTakenBy(v, s.Claims[ref.Name])
}

// isMarked is true for a volume that this restore has kept, and not let go since.
func (s *State) isMarked(v *corev1.PersistentVolume) bool {
	return v.Labels[v1alpha1.LabelRestoreUID] == string(s.Restore.UID)
}

// previousVolume is the volume that a claim had before, nil where it is gone.
func (s *State) previousVolume(c *v1alpha1.RestoredClaim) *corev1.PersistentVolume {
	return s.onRecord(c.PreviousVolume, c.PreviousVolumeUID)
}

// restoredVolume is the volume that was made for a claim, nil where it is gone.
func (s *State) restoredVolume(c *v1alpha1.RestoredClaim) *corev1.PersistentVolume {
	return s.onRecord(c.RestoredVolume, c.RestoredVolumeUID)
}

// onRecord is the volume of that name where it is the one that is on record, by its
// UID. Restores of earlier versions have none on record.
func (s *State) onRecord(name string, uid types.UID) *corev1.PersistentVolume {
	if s.isMadeAnew(name, uid) {
		return nil
	}
	return s.Volumes[name]
}

// isMadeAnew is true for the name of a volume that another has by now.
func (s *State) isMadeAnew(name string, uid types.UID) bool {
	v := s.Volumes[name]
	return v != nil && uid != "" && v.UID != uid
}

// uidOf is the UID of a volume, empty where it isn't there.
func (s *State) uidOf(volume string) types.UID {
	if v := s.Volumes[volume]; v != nil {
		return v.UID
	}
	return ""
}

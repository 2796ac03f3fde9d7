package cut

import (
	"fmt"
	"slices"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// Retaining are those of the volumes' classes that have copies in the storage
// outlive their snapshots.
func Retaining(classes []snapshotv1.VolumeSnapshotClass, volumes []v1alpha1.VolumeStatus) []string {
	var found []string
	for i := range classes {
		isUsed := slices.ContainsFunc(volumes, func(v v1alpha1.VolumeStatus) bool { return v.VolumeSnapshotClassName == classes[i].Name })
		if isUsed && classes[i].DeletionPolicy == snapshotv1.VolumeSnapshotContentRetain {
			found = append(found, "VolumeSnapshotClass "+classes[i].Name)
		}
	}
	return names.Set(found)
}

// RetainingGroups is the class of a group where it is such a class.
func RetainingGroups(classes []GroupClass, class string) []string {
	for i := range classes {
		if classes[i].Name == class && classes[i].DeletionPolicy == string(snapshotv1.VolumeSnapshotContentRetain) {
			return []string{"VolumeGroupSnapshotClass " + class}
		}
	}
	return nil
}

// RetainingMessage says what becomes of copies whose classes have them outlive
// their snapshots. It is empty where there are none.
func RetainingMessage(retaining []string, policy v1alpha1.DeletionPolicy) string {
	if len(retaining) == 0 {
		return ""
	}
	backup := "and so are those of this backup once it is deleted (its own deletionPolicy is Delete)"
	if policy != v1alpha1.DeletionDelete {
		backup = "and those of this backup stay when it is deleted, with their snapshots (its own deletionPolicy is " + string(policy) + ")"
	}
	return fmt.Sprintf("%s: the deletionPolicy is Retain. Copies of attempts that fail are deleted all the same, %s; a snapshot that others delete, or that goes with its namespace, leaves its copy in the storage",
		names.List(retaining), backup)
}

package cut

import (
	"slices"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// annotationDefaultClass marks a driver's default class
// (https://kubernetes.io/docs/concepts/storage/volume-snapshot-classes/).
const annotationDefaultClass = "snapshot.storage.kubernetes.io/is-default-class"

// ChooseClass is the name of the snapshot class for a volume of driver: the
// one that is asked for, else the driver's default, else its only one.
func ChooseClass(classes []snapshotv1.VolumeSnapshotClass, driver, asked string) (string, error) {
	if asked != "" {
		return askedClass(classes, driver, asked)
	}
	var found, defaults []string
	for _, class := range classes {
		if class.Driver != driver {
			continue
		}
		found = append(found, class.Name)
		if class.Annotations[annotationDefaultClass] == "true" {
			defaults = append(defaults, class.Name)
		}
	}
	slices.Sort(found)
	slices.Sort(defaults)
	switch {
	case len(found) == 0:
		return "", v1alpha1.PassingProblemf(v1alpha1.ReasonNoSnapshotClass,
			"there is no VolumeSnapshotClass for the driver %q: create one", driver)
	case len(defaults) > 1:
		return "", v1alpha1.Problemf(v1alpha1.ReasonAmbiguousClass,
			"the driver %q has several default VolumeSnapshotClasses (%s): leave the annotation %s on one, or write spec.volumeSnapshotClassName", driver, names.List(defaults), annotationDefaultClass)
	case len(defaults) == 1:
		return defaults[0], nil
	case len(found) > 1:
		return "", v1alpha1.Problemf(v1alpha1.ReasonAmbiguousClass,
			"the driver %q has several VolumeSnapshotClasses (%s) and none is its default: write one into spec.volumeSnapshotClassName", driver, names.List(found))
	}
	return found[0], nil
}

func askedClass(classes []snapshotv1.VolumeSnapshotClass, driver, asked string) (string, error) {
	for _, class := range classes {
		if class.Name != asked {
			continue
		}
		if class.Driver != driver {
			return "", v1alpha1.Problemf(v1alpha1.ReasonSnapshotClassMismatch,
				"VolumeSnapshotClass %q is for the driver %q, a volume is of %q: name a class of that driver, or none to take its default", asked, class.Driver, driver)
		}
		return asked, nil
	}
	return "", v1alpha1.PassingProblemf(v1alpha1.ReasonNoSnapshotClass,
		"there is no VolumeSnapshotClass %q: create it, or write another into spec.volumeSnapshotClassName", asked)
}

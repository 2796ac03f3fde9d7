package cut

import (
	"fmt"
	"slices"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// GroupAPI is the API group of snapshots of several volumes, which are cut at
// one instant by one call to the driver.
const GroupAPI = "groupsnapshot.storage.k8s.io"

// GroupVersions are the versions of it that are understood, the one first that
// is tried most. Before v1beta2 a content says nothing of the single cuts
// (https://github.com/kubernetes-csi/external-snapshotter, CHANGELOG of 8.3).
var GroupVersions = []string{"v1beta2", "v1"}

// GroupClass is what matters of a VolumeGroupSnapshotClass.
type GroupClass struct {
	metav1.ObjectMeta `json:"metadata"`
	Driver            string `json:"driver"`
	DeletionPolicy    string `json:"deletionPolicy"`
}

// Group is what matters of a VolumeGroupSnapshot.
type Group struct {
	metav1.ObjectMeta `json:"metadata"`
	Status            GroupStatus `json:"status"`
}

// GroupStatus is that of a VolumeGroupSnapshot.
type GroupStatus struct {
	BoundVolumeGroupSnapshotContentName string `json:"boundVolumeGroupSnapshotContentName"`
	// CreationTime is there once all single snapshots are made.
	CreationTime *metav1.Time                    `json:"creationTime"`
	ReadyToUse   bool                            `json:"readyToUse"`
	Error        *snapshotv1.VolumeSnapshotError `json:"error"`
}

// GroupContent is what matters of a VolumeGroupSnapshotContent.
type GroupContent struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		DeletionPolicy         string `json:"deletionPolicy"`
		VolumeGroupSnapshotRef struct {
			UID types.UID `json:"uid"`
		} `json:"volumeGroupSnapshotRef"`
		Source struct {
			VolumeHandles []string `json:"volumeHandles"`
		} `json:"source"`
	} `json:"spec"`
	Status struct {
		VolumeGroupSnapshotHandle string                          `json:"volumeGroupSnapshotHandle"`
		VolumeSnapshotInfoList    []GroupMember                   `json:"volumeSnapshotInfoList"`
		Error                     *snapshotv1.VolumeSnapshotError `json:"error"`
	} `json:"status"`
}

// GroupMember is the cut of one volume of a group.
type GroupMember struct {
	VolumeHandle   string `json:"volumeHandle"`
	SnapshotHandle string `json:"snapshotHandle"`
	// CreationTime is in nanoseconds since 1970.
	CreationTime *int64 `json:"creationTime"`
	// RestoreSize is in bytes.
	RestoreSize *int64 `json:"restoreSize"`
}

// GroupContentName is the name of a group's content, as the snapshot controller
// names what it makes (external-snapshotter,
// GetDynamicSnapshotContentNameForGroupSnapshot): it is needed a moment before
// the group's status says so.
func GroupContentName(group types.UID) string { return "groupsnapcontent-" + string(group) }

// finalizerGroup is what the snapshot controller keeps a bound group by
// (external-snapshotter, VolumeGroupSnapshotBoundFinalizer).
const finalizerGroup = "groupsnapshot.storage.kubernetes.io/volumegroupsnapshot-bound-protection"

// SettleLimit is how long a snapshot or a group is left to the snapshot
// controller, which may not work on it at all, or not even on groups.
const SettleLimit = time.Minute

// CanGo is true for a group that can be deleted without leaving anything behind.
// content is its content, nil where there is none; members are the single
// snapshots that name it as their owner. Of one that is deleted earlier the snapshot
// controller forgets the content, with the cut, or the single snapshots that it
// is about to make of it (external-snapshotter 8.5,
// processGroupSnapshotWithDeletionTimestamp), and those that don't name the
// group yet stay for ever (checkandRemoveSnapshotFinalizersAndCheckandDeleteContent).
func (g *Group) CanGo(content *GroupContent, members []snapshotv1.VolumeSnapshot, age time.Duration) bool {
	switch {
	case g.Status.BoundVolumeGroupSnapshotContentName == "" || !slices.Contains(g.Finalizers, finalizerGroup):
		return content == nil && age >= SettleLimit
	case content != nil && content.Status.VolumeGroupSnapshotHandle != "" && g.Status.CreationTime == nil:
		return age >= SettleLimit
	case slices.ContainsFunc(members, unnamed):
		return age >= SettleLimit
	}
	return true
}

func unnamed(member snapshotv1.VolumeSnapshot) bool {
	return member.Status == nil || member.Status.VolumeGroupSnapshotName == nil
}

// ObserveGroup reads a group and its content, either of which may be nil, into
// what is known of each claim's volume. handles are what the driver calls the
// volumes, by their claims. Whether they can be restored is told by snapshots
// of their own, which the snapshot controller makes after the cut.
func ObserveGroup(group *Group, content *GroupContent, handles map[string]string) map[string]Observed {
	if group == nil || !group.DeletionTimestamp.IsZero() {
		return nil
	}
	if content != nil && content.Spec.VolumeGroupSnapshotRef.UID != group.UID {
		content = nil
	}
	observed := make(map[string]Observed, len(handles))
	for claim, handle := range handles {
		o := Observed{Exists: true, Error: complaint(group.Status.Error), Group: group.UID, Hint: group.notTakenUp()}
		if content != nil {
			o.observeMember(content, handle, len(handles))
		}
		observed[claim] = o
	}
	return observed
}

// notTakenUp says so where the snapshot controller has done nothing about a
// group: that nothing is cut has another mend then than patience.
func (g *Group) notTakenUp() string {
	if g.Status.BoundVolumeGroupSnapshotContentName != "" {
		return ""
	}
	return fmt.Sprintf("the snapshot controller has not taken up VolumeGroupSnapshot %s: does it run with --feature-gates=CSIVolumeGroupSnapshot=true?", g.Name)
}

// conflict is how the API server ends a write of an object that another has
// written meanwhile (k8s.io/apiserver, OptimisticLockErrorMsg).
const conflict = "the object has been modified; please apply your changes to the latest version"

// complaint is what stands in the way of a group. That its controllers got in
// each other's way doesn't: the later one tries again at once.
func complaint(err *snapshotv1.VolumeSnapshotError) string {
	said := message(err)
	if strings.Contains(said, conflict) {
		return ""
	}
	return said
}

func (o *Observed) observeMember(content *GroupContent, handle string, members int) {
	if o.Error == "" {
		o.Error = complaint(content.Status.Error)
	}
	if all := content.Spec.Source.VolumeHandles; len(all) != members || !slices.Contains(all, handle) {
		o.Error = fmt.Sprintf("the group isn't of the %d volume(s) that it was made for, but of %d: the label %s of their claims was changed meanwhile", members, len(all), v1alpha1.LabelGroup)
		return
	}
	for _, m := range content.Status.VolumeSnapshotInfoList {
		if m.VolumeHandle != handle || content.Status.VolumeGroupSnapshotHandle == "" {
			continue
		}
		o.Cut = true
		o.GroupHandle, o.Identity.Handle = content.Status.VolumeGroupSnapshotHandle, m.SnapshotHandle
		if m.CreationTime != nil {
			t := metav1.Unix(0, *m.CreationTime)
			o.CreationTime = &t
		}
		if m.RestoreSize != nil {
			o.RestoreSize = resource.NewQuantity(*m.RestoreSize, resource.BinarySI)
		}
	}
}

// annotationDefaultGroupClass marks a driver's default class of groups
// (external-snapshotter, IsDefaultGroupSnapshotClassAnnotation).
const annotationDefaultGroupClass = "groupsnapshot.storage.kubernetes.io/is-default-class"

// ChooseGroupClass is the name of the class of a group of all the volumes: the
// one that is asked for, else the default of the driver of several volumes. It
// is empty where the volumes are to be cut one by one.
func ChooseGroupClass(classes []GroupClass, volumes []v1alpha1.VolumeStatus, asked string) (string, error) {
	drivers := driversOf(volumes)
	switch {
	case asked != "" && len(drivers) > 1:
		return "", v1alpha1.Problemf(v1alpha1.ReasonSnapshotClassMismatch,
			"the volumes are of several drivers (%s), and a group can only be of one: leave out spec.volumeGroupSnapshotClassName", names.List(drivers))
	case asked != "":
		return askedGroupClass(classes, drivers[0], asked)
	case len(drivers) != 1 || len(volumes) < 2:
		return "", nil
	}
	var defaults []string
	for _, class := range classes {
		if class.Driver == drivers[0] && class.Annotations[annotationDefaultGroupClass] == "true" {
			defaults = append(defaults, class.Name)
		}
	}
	slices.Sort(defaults)
	switch len(defaults) {
	case 0:
		return "", nil
	case 1:
		return defaults[0], nil
	}
	return "", v1alpha1.Problemf(v1alpha1.ReasonAmbiguousClass,
		"the driver %q has several default VolumeGroupSnapshotClasses (%s): leave the annotation %s on one, or write spec.volumeGroupSnapshotClassName", drivers[0], names.List(defaults), annotationDefaultGroupClass)
}

func askedGroupClass(classes []GroupClass, driver, asked string) (string, error) {
	for _, class := range classes {
		if class.Name != asked {
			continue
		}
		if class.Driver != driver {
			return "", v1alpha1.Problemf(v1alpha1.ReasonSnapshotClassMismatch,
				"VolumeGroupSnapshotClass %q is for the driver %q, the volumes are of %q: name a class of that driver, or none", asked, class.Driver, driver)
		}
		return asked, nil
	}
	return "", v1alpha1.PassingProblemf(v1alpha1.ReasonNoSnapshotClass,
		"there is no VolumeGroupSnapshotClass %q: create it, or leave out spec.volumeGroupSnapshotClassName", asked)
}

func driversOf(volumes []v1alpha1.VolumeStatus) []string {
	var drivers []string
	for i := range volumes {
		drivers = append(drivers, volumes[i].Driver)
	}
	slices.Sort(drivers)
	return slices.Compact(drivers)
}

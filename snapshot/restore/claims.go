package restore

import (
	"cmp"
	"maps"
	"slices"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/names"
)

// annotationAllowModeChange lets a volume of another mode be made from a
// snapshot (https://kubernetes.io/docs/concepts/storage/volume-snapshots/).
const annotationAllowModeChange = "snapshot.storage.kubernetes.io/allow-volume-mode-change"

// shape is the claim to make: as the one that it replaces or, where that is
// gone, as the StatefulSet's template would make it.
func (in *Input) shape(mounted string, v v1alpha1.VolumeStatus, model *corev1.PersistentVolumeClaim) v1alpha1.ClaimShape {
	var shape v1alpha1.ClaimShape
	snap := in.Snapshots[v.SnapshotName]
	content := in.Contents[cut.ContentName(snap)]
	if model == nil {
		model = in.missingModel(mounted, v.Driver, content.Spec.SourceVolumeMode)
	} else {
		shape.PreviousSize = model.Spec.Resources.Requests.Storage()
		shape.Annotations, shape.OwnerReferences = withoutBinding(model.Annotations), model.OwnerReferences
	}
	shape.Labels = maps.Clone(model.Labels)
	delete(shape.Labels, v1alpha1.LabelGroup) // a group selects the claim itself, not a copy of it
	shape.AccessModes, shape.VolumeMode = model.Spec.AccessModes, model.Spec.VolumeMode
	shape.VolumeAttributesClassName = model.Spec.VolumeAttributesClassName
	shape.PreviousStorageClassName = model.Spec.StorageClassName
	shape.StorageClassName = cmp.Or(in.Restore.Spec.Target.StorageClassName, model.Spec.StorageClassName)
	shape.Size = largest(cut.Observe(snap, content).RestoreSize, v.RestoreSize, model.Spec.Resources.Requests.Storage(), model.Status.Capacity.Storage())
	return shape
}

// contentOf is the content of the snapshot that a claim is made from.
func (in *Input) contentOf(c *v1alpha1.RestoredClaim) *snapshotv1.VolumeSnapshotContent {
	return in.Contents[cut.ContentName(in.Snapshots[c.SnapshotName])]
}

// missingModel stands for a claim that is gone. Where no template says how it
// was, its volume had the mode that the snapshot was taken of.
func (in *Input) missingModel(name, driver string, mode *corev1.PersistentVolumeMode) *corev1.PersistentVolumeClaim {
	if in.Workload != nil {
		if t, _ := in.Workload.ClaimTemplate(name); t != nil {
			model := t.DeepCopy()
			if model.Spec.StorageClassName == nil {
				model.Spec.StorageClassName = in.defaultClass(driver)
			}
			return model
		}
	}
	return &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		StorageClassName: in.defaultClass(driver),
		VolumeMode:       mode,
	}}
}

// defaultClass is the cluster's default where it is of the driver, else the
// only one of the driver, else none.
func (in *Input) defaultClass(driver string) *string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(in.Classes)) {
		class := in.Classes[name]
		if class.Provisioner != driver {
			continue
		}
		if class.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
			return ptr.To(name)
		}
		names = append(names, name)
	}
	if len(names) == 1 {
		return ptr.To(names[0])
	}
	return nil
}

func largest(sizes ...*resource.Quantity) resource.Quantity {
	var most resource.Quantity
	for _, s := range sizes {
		if s != nil && s.Cmp(most) > 0 {
			most = s.DeepCopy()
		}
	}
	return most
}

// withoutBinding are annotations without those that Kubernetes binds and
// provisions by: they belong to the volume that was bound.
func withoutBinding(annotations map[string]string) map[string]string {
	kept := maps.Clone(annotations)
	for _, key := range []string{
		"pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller",
		"volume.kubernetes.io/selected-node", "volume.kubernetes.io/storage-provisioner",
		"volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-resizer",
	} {
		delete(kept, key)
	}
	return kept
}

// NewClaim is the claim that is made from a snapshot. It carries the labels of
// the one that it is a copy of, but those by which a tool would prune it.
func NewClaim(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim) *corev1.PersistentVolumeClaim {
	claim := claimOf(r.Namespace, NewClaimName(c), c, c.Shape.Size, c.Shape.StorageClassName)
	claim.Spec.DataSource = &corev1.TypedLocalObjectReference{APIGroup: ptr.To(snapshotv1.GroupName), Kind: "VolumeSnapshot", Name: c.SnapshotName}
	if c.TemporaryClaim == "" {
		claim.Labels = unmarked(c.Shape.Labels)
	}
	maps.Copy(claim.Labels, claimLabels(r, c))
	claim.Labels[v1alpha1.LabelManagedBy] = v1alpha1.ManagedBy
	delete(claim.Labels, v1alpha1.LabelPrevious)
	return claim
}

// NewClaimName is the name of the claim that is made from the snapshot.
func NewClaimName(c *v1alpha1.RestoredClaim) string { return cmp.Or(c.TemporaryClaim, c.RestoredClaim) }

// claimLabels are those of what belongs to one claim of a restore.
func claimLabels(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim) map[string]string {
	labels := map[string]string{
		v1alpha1.LabelRestore:    names.LabelValue(r.Name),
		v1alpha1.LabelRestoreUID: string(r.UID),
		v1alpha1.LabelBackup:     names.LabelValue(r.Status.Source),
		v1alpha1.LabelClaim:      c.OriginalClaim,
	}
	if r.Status.Application != nil {
		labels[v1alpha1.LabelApplication] = names.LabelValue(r.Status.Application.Name)
	}
	return labels
}

// boundClaim is a claim of the application's for a volume that is kept for it:
// all but the volume is as it was.
func boundClaim(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, to side) *corev1.PersistentVolumeClaim {
	size, class := c.Shape.Size, c.Shape.StorageClassName
	if to.volume == c.PreviousVolume && c.Shape.PreviousSize != nil {
		size, class = *c.Shape.PreviousSize, c.Shape.PreviousStorageClassName
	}
	claim := claimOf(r.Namespace, to.claim, c, size, class)
	claim.Labels = maps.Clone(c.Shape.Labels)
	claim.Annotations = maps.Clone(c.Shape.Annotations)
	claim.OwnerReferences = slices.Clone(c.Shape.OwnerReferences)
	claim.Spec.VolumeName = to.volume
	return claim
}

func claimOf(namespace, name string, c *v1alpha1.RestoredClaim, size resource.Quantity, class *string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:               c.Shape.AccessModes,
			VolumeMode:                c.Shape.VolumeMode,
			StorageClassName:          class,
			VolumeAttributesClassName: c.Shape.VolumeAttributesClassName,
			Resources:                 corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size}},
		},
	}
}

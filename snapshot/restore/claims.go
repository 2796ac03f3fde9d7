package restore

import (
	"cmp"
	"maps"
	"slices"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// annotationAllowModeChange lets a volume of another mode be made from a
// snapshot (https://kubernetes.io/docs/concepts/storage/volume-snapshots/).
const annotationAllowModeChange = "snapshot.storage.kubernetes.io/allow-volume-mode-change"

// shape is the claim to make: as the one that it replaces or, where that is
// gone, as it was or would be.
func (in *Input) shape(mounted string, v v1alpha1.VolumeStatus) v1alpha1.ClaimShape {
	model, from := in.modelOf(mounted, v)
	shape := v1alpha1.ClaimShape{
		From:                      from,
		Labels:                    maps.Clone(model.Labels),
		Annotations:               workload.OwnAnnotations(model.Annotations),
		AccessModes:               model.Spec.AccessModes,
		VolumeMode:                model.Spec.VolumeMode,
		VolumeAttributesClassName: model.Spec.VolumeAttributesClassName,
		PreviousStorageClassName:  model.Spec.StorageClassName,
		StorageClassName:          cmp.Or(in.Restore.Spec.Target.StorageClassName, model.Spec.StorageClassName),
		Size:                      largest(in.leastSize(v), model.Spec.Resources.Requests.Storage(), model.Status.Capacity.Storage()),
	}
	delete(shape.Labels, v1alpha1.LabelGroup) // a group selects the claim itself, not a copy of it
	if from == v1alpha1.ShapeFromClaim {
		shape.PreviousSize, shape.OwnerReferences = model.Spec.Resources.Requests.Storage(), model.OwnerReferences
	}
	if asked := in.Restore.Spec.Target.Size; asked != nil {
		shape.Size = *asked
	}
	return shape
}

// leastSize is the least that a volume from the snapshot can have, nil where
// nobody knows: some drivers don't say.
func (in *Input) leastSize(v v1alpha1.VolumeStatus) *resource.Quantity {
	if IsFromRepository(in.Restore) {
		return v.RestoreSize // of files nobody knows: they may have holes
	}
	snap := in.Snapshots[v.SnapshotName]
	least := largest(cut.Observe(snap, in.Contents[cut.ContentName(snap)]).RestoreSize, v.RestoreSize)
	if least.IsZero() {
		return nil
	}
	return &least
}

// contentOf is the content of the snapshot that a claim is made from, nil where it
// is filled from a repository.
func (in *Input) contentOf(c *v1alpha1.RestoredClaim) *snapshotv1.VolumeSnapshotContent {
	snap := in.Snapshots[c.SnapshotName]
	if snap == nil {
		return nil
	}
	return in.Contents[cut.ContentName(snap)]
}

// modelOf is what a new claim is made like. The record of a claim tells how it
// really was, also where it had come to differ from its template; but it is of
// the application that was backed up, and no other.
func (in *Input) modelOf(mounted string, v v1alpha1.VolumeStatus) (*corev1.PersistentVolumeClaim, v1alpha1.ShapeSource) {
	if there := in.Claims[mounted]; there != nil {
		return there, v1alpha1.ShapeFromClaim
	}
	template, record := in.templateModel(mounted, v.Driver), recordedModel(v.Claim)
	if template != nil && (record == nil || in.isOther()) {
		return template, v1alpha1.ShapeFromTemplate
	}
	if record != nil {
		return record, v1alpha1.ShapeFromBackup
	}
	if there := snapshotThere(in.Restore, v.ClaimName); there != nil {
		return in.modelThere(there), v1alpha1.ShapeFromRepository
	}
	mode := in.Contents[cut.ContentName(in.Snapshots[v.SnapshotName])].Spec.SourceVolumeMode
	return &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		StorageClassName: in.defaultClass(v.Driver),
		VolumeMode:       mode,
	}}, v1alpha1.ShapeFromSnapshot
}

// isOther is true where another application is restored than was backed up.
func (in *Input) isOther() bool { return in.Workload.Ref != in.Backup.Spec.ApplicationRef }

// templateModel is a claim as its StatefulSet would make it, nil where there is
// no template of it.
func (in *Input) templateModel(name, driver string) *corev1.PersistentVolumeClaim {
	if in.Workload == nil {
		return nil
	}
	template, _ := in.Workload.ClaimTemplate(name)
	if template == nil {
		return nil
	}
	model := template.DeepCopy()
	if model.Spec.StorageClassName == nil {
		model.Spec.StorageClassName = in.defaultClass(driver)
	}
	return model
}

// recordedModel is a claim as a backup says that it was, nil where it doesn't.
func recordedModel(r *v1alpha1.BackedUpClaim) *corev1.PersistentVolumeClaim {
	if r == nil {
		return nil
	}
	model := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Labels: r.Labels, Annotations: r.Annotations},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: r.AccessModes, VolumeMode: r.VolumeMode,
			StorageClassName: r.StorageClassName, VolumeAttributesClassName: r.VolumeAttributesClassName,
		},
	}
	if r.Size != nil {
		model.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: *r.Size}
	}
	if r.Capacity != nil {
		model.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: *r.Capacity}
	}
	return model
}

// usualClass is the cluster's default, else its only one, else none.
func (in *Input) usualClass() *string {
	return in.defaultOf(func(*storagev1.StorageClass) bool { return true })
}

// defaultClass is the cluster's default where it is of the driver, else the
// only one of the driver, else none.
func (in *Input) defaultClass(driver string) *string {
	return in.defaultOf(func(class *storagev1.StorageClass) bool { return class.Provisioner == driver })
}

func (in *Input) defaultOf(counts func(*storagev1.StorageClass) bool) *string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(in.Classes)) {
		class := in.Classes[name]
		if !counts(class) {
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

// NewClaim is the claim that is made from a snapshot, or an empty one that is to be
// filled. It carries the labels and annotations of the one that it is a copy of, but
// those by which a tool would prune it.
func NewClaim(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim) *corev1.PersistentVolumeClaim {
	claim := claimOf(r.Namespace, NewClaimName(c), c, c.Shape.Size, c.Shape.StorageClassName)
	if c.SnapshotName != "" && !isCopied(c) {
		claim.Spec.DataSource = dataSource(c.SnapshotName)
	}
	claim.Labels, claim.Annotations = workload.Unmarked(c.Shape.Labels), workload.UnmarkedAnnotations(c.Shape.Annotations)
	maps.Copy(claim.Labels, claimLabels(r, c))
	claim.Labels[v1alpha1.LabelManagedBy] = v1alpha1.ManagedBy
	delete(claim.Labels, v1alpha1.LabelPrevious)
	return claim
}

func dataSource(snapshot string) *corev1.TypedLocalObjectReference {
	return &corev1.TypedLocalObjectReference{APIGroup: ptr.To(snapshotv1.GroupName), Kind: "VolumeSnapshot", Name: snapshot}
}

// NewClaimName is the name of the claim that is made.
func NewClaimName(c *v1alpha1.RestoredClaim) string { return cmp.Or(c.TemporaryClaim, c.RestoredClaim) }

// claimLabels are those of what belongs to one claim of a restore.
func claimLabels(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim) map[string]string {
	labels := map[string]string{
		v1alpha1.LabelRestore:    names.LabelValue(r.Name),
		v1alpha1.LabelRestoreUID: string(r.UID),
		v1alpha1.LabelClaim:      c.OriginalClaim,
	}
	if IsFromRepository(r) {
		labels[v1alpha1.LabelRepository] = names.LabelValue(RepositoryOf(r))
	} else {
		labels[v1alpha1.LabelBackup] = names.LabelValue(r.Status.Source)
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

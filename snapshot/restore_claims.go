package snapshot

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
)

// annotationAllowModeChange lets a volume of another mode be made from a
// snapshot (https://kubernetes.io/docs/concepts/storage/volume-snapshots/).
const annotationAllowModeChange = "snapshot.storage.kubernetes.io/allow-volume-mode-change"

// claim is what becomes of one claim of the backup.
func (in *RestoreInput) claim(res *Resolution, v v1alpha1.VolumeStatus) (v1alpha1.RestoredClaim, error) {
	uid := in.Restore.UID
	c := v1alpha1.RestoredClaim{ClaimName: v.ClaimName, SnapshotName: v.SnapshotName}
	model := in.Claims[v.ClaimName]
	if res.Strategy == v1alpha1.StrategyClaimsOnly {
		c.RestoredClaim = in.newName(v.ClaimName, v.ClaimName)
	} else {
		mounted, err := in.mountedAs(res.Strategy, v.ClaimName)
		if err != nil {
			return c, err
		}
		if slices.ContainsFunc(res.Claims, func(other v1alpha1.RestoredClaim) bool { return other.PreviousClaim == mounted }) {
			return c, v1alpha1.Problemf(v1alpha1.ReasonClaimNotMounted,
				"two claims of VolumeBackup %s would take the place of claim %s: write spec.volumes.include or spec.target.claims", in.Backup.Name, mounted)
		}
		c.PreviousClaim, model = mounted, in.Claims[mounted]
		if res.Strategy == v1alpha1.StrategyRepoint {
			c.RestoredClaim, c.TemplateVolumes = in.newName(v.ClaimName, mounted), in.Workload.templateVolumes(mounted)
		} else {
			c.RestoredClaim, c.TemporaryClaim = mounted, TemporaryClaimName(in.Restore.Name, uid, v.ClaimName)
		}
	}
	c.Root = rootOf(cmp.Or(c.PreviousClaim, c.ClaimName), model)
	c.ProofPod = ProofPodName(in.Restore.Name, uid, in.group(c))
	var err error
	c.Shape, err = in.shape(c, v, model)
	return c, err
}

// newName is the name of a new claim: the one asked for, else one that follows
// from the restore.
func (in *RestoreInput) newName(claim, mounted string) string {
	if asked := in.Restore.Spec.Target.Claims[claim]; asked != "" {
		return string(asked)
	}
	return RestoredClaimName(rootOf(mounted, in.Claims[mounted]), in.Restore.UID, claim)
}

// mountedAs finds under which name the application mounts a claim of the
// backup: under the same, or under that of an earlier restore's copy.
func (in *RestoreInput) mountedAs(strategy v1alpha1.RestoreStrategy, claim string) (string, error) {
	w := in.Workload
	mounted := sortedSet(w.Mounted())
	wanted := claim
	if asked := in.Restore.Spec.Target.Claims[claim]; asked != "" && strategy == v1alpha1.StrategyReplace {
		wanted = string(asked)
	} else if ordinal, ok := in.backedUpReplica(claim); ok && in.Backup.Spec.ApplicationRef.Name != w.Ref.Name {
		wanted = ordinal
	}
	if slices.Contains(mounted, wanted) {
		return wanted, nil
	}
	// A StatefulSet that was scaled down since still owns the claims.
	if t, _ := w.claimTemplate(wanted); t != nil {
		return wanted, nil
	}
	root := rootOf(wanted, in.Claims[wanted])
	for _, name := range mounted {
		if rootOf(name, in.Claims[name]) == root {
			return name, nil
		}
	}
	return "", v1alpha1.Problemf(v1alpha1.ReasonClaimNotMounted,
		"VolumeBackup %s holds claim %q, which %s %s doesn't mount: it mounts %s. Exclude it by spec.volumes.exclude, or write strategy ClaimsOnly", in.Backup.Name, wanted, w.Ref.Kind, w.Ref.Name, list(mounted))
}

// backedUpReplica is the claim of the target's replica that has the ordinal of
// a claim of another StatefulSet's backup.
func (in *RestoreInput) backedUpReplica(claim string) (string, bool) {
	if in.Backup.Spec.ApplicationRef.Kind != v1alpha1.KindStatefulSet {
		return "", false
	}
	for _, t := range in.Workload.ClaimTemplates {
		if ordinal, ok := replicaOf(claim, t.Name+"-"+in.Backup.Spec.ApplicationRef.Name+"-"); ok {
			return t.Name + "-" + in.Workload.Ref.Name + "-" + ordinal, true
		}
	}
	return "", false
}

// group is the claims that are mounted together: those of one pod. The claims
// of a StatefulSet's replicas may live on different nodes.
func (in *RestoreInput) group(c v1alpha1.RestoredClaim) string {
	if in.Workload == nil {
		return c.ClaimName
	}
	if _, ordinal := in.Workload.claimTemplate(cmp.Or(c.PreviousClaim, c.ClaimName)); ordinal != "" {
		return ordinal
	}
	if in.Workload.Ref.Kind == v1alpha1.KindStatefulSet {
		return "shared"
	}
	return ""
}

// shape is the claim to make: as the one that it replaces or, where that is
// gone, as the StatefulSet's template would make it.
func (in *RestoreInput) shape(c v1alpha1.RestoredClaim, v v1alpha1.VolumeStatus, model *corev1.PersistentVolumeClaim) (v1alpha1.ClaimShape, error) {
	var shape v1alpha1.ClaimShape
	snap := in.Snapshots[v.SnapshotName]
	content := in.Contents[ContentName(snap)]
	if model == nil {
		model = in.missingModel(cmp.Or(c.PreviousClaim, c.ClaimName), v.Driver, content.Spec.SourceVolumeMode)
	} else {
		shape.PreviousSize = model.Spec.Resources.Requests.Storage()
		shape.Annotations, shape.OwnerReferences = withoutBinding(model.Annotations), model.OwnerReferences
	}
	shape.Labels = maps.Clone(model.Labels)
	delete(shape.Labels, v1alpha1.LabelGroup) // a group selects the claim itself, not a copy of it
	shape.AccessModes, shape.VolumeMode = model.Spec.AccessModes, model.Spec.VolumeMode
	shape.VolumeAttributesClassName = model.Spec.VolumeAttributesClassName
	shape.PreviousStorageClassName = model.Spec.StorageClassName
	shape.StorageClassName = model.Spec.StorageClassName
	if asked := in.Restore.Spec.Target.StorageClassName; asked != nil {
		shape.StorageClassName = asked
	}
	shape.Size = largest(Observe(snap, content).RestoreSize, v.RestoreSize, model.Spec.Resources.Requests.Storage(), model.Status.Capacity.Storage())
	if err := in.checkClass(shape.StorageClassName, v, content); err != nil {
		return shape, err
	}
	return shape, checkMode(shape.VolumeMode, content, v)
}

// missingModel stands for a claim that is gone. Where no template says how it
// was, its volume had the mode that the snapshot was taken of.
func (in *RestoreInput) missingModel(name, driver string, mode *corev1.PersistentVolumeMode) *corev1.PersistentVolumeClaim {
	if in.Workload != nil {
		if t, _ := in.Workload.claimTemplate(name); t != nil {
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
func (in *RestoreInput) defaultClass(driver string) *string {
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

func (in *RestoreInput) checkClass(name *string, v v1alpha1.VolumeStatus, content *snapshotv1.VolumeSnapshotContent) error {
	if ptr.Deref(name, "") == "" {
		return v1alpha1.Problemf(v1alpha1.ReasonNoStorageClass,
			"claim %s has no storage class that its volume can be made by: write one of the driver %q into spec.target.storageClassName", v.ClaimName, content.Spec.Driver)
	}
	var class *storagev1.StorageClass
	if class = in.Classes[*name]; class == nil {
		return v1alpha1.PassingProblemf(v1alpha1.ReasonNoStorageClass,
			"there is no StorageClass %q, which claim %s is to be made by: create it, or write another into spec.target.storageClassName", *name, v.ClaimName)
	}
	if class.Provisioner != content.Spec.Driver {
		return v1alpha1.Problemf(v1alpha1.ReasonStorageMismatch,
			"StorageClass %q is of %q, the snapshot of claim %s is of the driver %q: write a class of that driver into spec.target.storageClassName", *name, class.Provisioner, v.ClaimName, content.Spec.Driver)
	}
	return nil
}

func checkMode(mode *corev1.PersistentVolumeMode, content *snapshotv1.VolumeSnapshotContent, v v1alpha1.VolumeStatus) error {
	is, was := ptr.Deref(mode, corev1.PersistentVolumeFilesystem), ptr.Deref(content.Spec.SourceVolumeMode, "")
	if was == "" || is == was || content.Annotations[annotationAllowModeChange] == "true" {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonVolumeModeMismatch,
		"claim %s has volumeMode %s now, its snapshot was taken of a volume of mode %s: make the claim with that mode, or have VolumeSnapshotContent %s annotated with %s: \"true\"", v.ClaimName, is, was, content.Name, annotationAllowModeChange)
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
	maps.Copy(claim.Labels, RestoreLabels(r, c))
	claim.Labels[v1alpha1.LabelManagedBy] = v1alpha1.ManagedBy
	delete(claim.Labels, v1alpha1.LabelPrevious)
	return claim
}

// NewClaimName is the name of the claim that is made from the snapshot.
func NewClaimName(c *v1alpha1.RestoredClaim) string { return cmp.Or(c.TemporaryClaim, c.RestoredClaim) }

// RestoreLabels are those of what belongs to one claim of a restore.
func RestoreLabels(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim) map[string]string {
	labels := map[string]string{
		v1alpha1.LabelRestore:    LabelValue(r.Name),
		v1alpha1.LabelRestoreUID: string(r.UID),
		v1alpha1.LabelBackup:     LabelValue(r.Status.Source),
		v1alpha1.LabelClaim:      c.Root,
	}
	if r.Status.Application != nil {
		labels[v1alpha1.LabelApplication] = LabelValue(r.Status.Application.Name)
	}
	return labels
}

// BoundClaim is a claim of the old name for a volume that is kept for it: all
// but the volume is as it was.
func BoundClaim(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, volume string) *corev1.PersistentVolumeClaim {
	size, class := c.Shape.Size, c.Shape.StorageClassName
	if volume == c.PreviousVolume && c.Shape.PreviousSize != nil {
		size, class = *c.Shape.PreviousSize, c.Shape.PreviousStorageClassName
	}
	claim := claimOf(r.Namespace, c.RestoredClaim, c, size, class)
	claim.Labels = maps.Clone(c.Shape.Labels)
	claim.Annotations = maps.Clone(c.Shape.Annotations)
	claim.OwnerReferences = slices.Clone(c.Shape.OwnerReferences)
	claim.Spec.VolumeName = volume
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

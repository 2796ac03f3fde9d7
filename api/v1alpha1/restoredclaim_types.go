package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// RestoredClaim is one claim of a restore.
type RestoredClaim struct {
	// ClaimName is the claim as the backup names it.
	ClaimName string `json:"claimName"`
	// OriginalClaim is what it was called before any restore, as the value of a
	// label.
	OriginalClaim string `json:"originalClaim"`
	// SnapshotName is the VolumeSnapshot that it is made from, or that paths are
	// copied from. Empty where it is filled from a repository.
	// +optional
	SnapshotName string `json:"snapshotName,omitempty"`
	// SnapshotUID is the UID of that VolumeSnapshot when the restore was resolved. One
	// of the same name with another UID isn't it.
	// +optional
	SnapshotUID types.UID `json:"snapshotUID,omitempty"`
	// Fill is how it is filled by a mover, from a repository or with paths of the
	// snapshot. Nil where it is made from the snapshot.
	// +optional
	Fill *ClaimFill `json:"fill,omitempty"`
	// PreviousClaim is what the application mounted before. Empty where
	// nothing is replaced.
	// +optional
	PreviousClaim string `json:"previousClaim,omitempty"`
	// RestoredClaim is what it mounts after.
	RestoredClaim string `json:"restoredClaim"`
	// TemporaryClaim holds the new volume until it gets its place.
	// +optional
	TemporaryClaim string `json:"temporaryClaim,omitempty"`
	// PreviousVolume is the volume of the previous claim. It is written before
	// that claim is touched.
	// +optional
	PreviousVolume string `json:"previousVolume,omitempty"`
	// PreviousVolumeUID is the UID of that PersistentVolume. One of the same name
	// with another UID isn't it.
	// +optional
	PreviousVolumeUID types.UID `json:"previousVolumeUID,omitempty"`
	// PreviousPolicy is the reclaim policy that the previous volume had. It is
	// Retain while this restore may be undone.
	// +optional
	PreviousPolicy corev1.PersistentVolumeReclaimPolicy `json:"previousPolicy,omitempty"`
	// RestoredVolume is the new volume.
	// +optional
	RestoredVolume string `json:"restoredVolume,omitempty"`
	// RestoredVolumeUID is the UID of that PersistentVolume.
	// +optional
	RestoredVolumeUID types.UID `json:"restoredVolumeUID,omitempty"`
	// RestoredPolicy is the reclaim policy that its class gave it. It is
	// Retain while volumes are swapped.
	// +optional
	RestoredPolicy corev1.PersistentVolumeReclaimPolicy `json:"restoredPolicy,omitempty"`
	// CurrentVolume is the volume that a rollback found under the claim, where
	// it isn't the restored one.
	// +optional
	CurrentVolume string `json:"currentVolume,omitempty"`
	// CurrentPolicy is the reclaim policy that it had.
	// +optional
	CurrentPolicy corev1.PersistentVolumeReclaimPolicy `json:"currentPolicy,omitempty"`
	// TemplateVolumes are the volumes of the pod template that are pointed at
	// the claim.
	// +optional
	TemplateVolumes []string `json:"templateVolumes,omitempty"`
	// MountCheckPod is the pod that mounts it before anything is stopped.
	// +optional
	MountCheckPod string `json:"mountCheckPod,omitempty"`
	// Shape of the claim.
	Shape ClaimShape `json:"shape"`
}

// ClaimFill is how a claim is filled by a mover.
type ClaimFill struct {
	// SnapshotID is the snapshot in the repository that it is filled from, in full.
	// Empty where it is filled from a VolumeSnapshot.
	// +optional
	SnapshotID string `json:"snapshotID,omitempty"`
	// Clone is the claim that the VolumeSnapshot is cloned into, for a mover to copy
	// the paths from it. It goes once they are copied.
	// +optional
	Clone *ClaimShape `json:"clone,omitempty"`
	// CloneUID is the UID of that claim, once it was bound while the VolumeSnapshot was
	// still the one that was resolved: the claim is made of it then.
	// +optional
	CloneUID types.UID `json:"cloneUID,omitempty"`
	// FilledAt is when all of it was there and had been read again.
	// +optional
	FilledAt *metav1.Time `json:"filledAt,omitempty"`
	// Files and Bytes that were written.
	// +optional
	Files int64 `json:"files,omitempty"`
	// +optional
	Bytes int64 `json:"bytes,omitempty"`
	// Duration is that of the mover's run.
	// +optional
	Duration *metav1.Duration `json:"duration,omitempty"`
	// Attempts is how often it was tried, and LastAttemptTime when the last attempt
	// ended.
	// +optional
	Attempts int32 `json:"attempts,omitempty"`
	// +optional
	LastAttemptTime *metav1.Time `json:"lastAttemptTime,omitempty"`
	// Message is what it waits for, or what was wrong with the last attempt.
	// +optional
	Message string `json:"message,omitempty"`
}

// ShapeSource is what a new claim is made like.
// +kubebuilder:validation:Enum=Claim;Backup;ClaimTemplate;Snapshot;Repository
type ShapeSource string

// What a new claim is made like, in this order: the claim that is there; how the
// backup says that it was; the claim template of its StatefulSet; no more than
// the snapshot, or that in the repository, tells. Onto another application's claims a template comes before
// the backup.
const (
	ShapeFromClaim    ShapeSource = "Claim"
	ShapeFromBackup   ShapeSource = "Backup"
	ShapeFromTemplate ShapeSource = "ClaimTemplate"
	ShapeFromSnapshot ShapeSource = "Snapshot"
	// ShapeFromRepository: nothing but the size of the data is known.
	ShapeFromRepository ShapeSource = "Repository"
)

// ClaimShape is all of a claim but its name, its volume and what the cluster
// adds. A claim that is replaced is made again from it.
type ClaimShape struct {
	// From is what the claim is made like.
	// +optional
	From ShapeSource `json:"from,omitempty"`
	// Labels of the previous claim.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations of the previous claim.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// OwnerReferences of the previous claim.
	// +optional
	OwnerReferences []metav1.OwnerReference `json:"ownerReferences,omitempty"`
	// AccessModes of the claim.
	// +optional
	AccessModes []corev1.PersistentVolumeAccessMode `json:"accessModes,omitempty"`
	// VolumeMode of the claim.
	// +optional
	VolumeMode *corev1.PersistentVolumeMode `json:"volumeMode,omitempty"`
	// StorageClassName of the new claim.
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`
	// VolumeAttributesClassName of the new claim.
	// +optional
	VolumeAttributesClassName *string `json:"volumeAttributesClassName,omitempty"`
	// PreviousStorageClassName is that of the previous claim.
	// +optional
	PreviousStorageClassName *string `json:"previousStorageClassName,omitempty"`
	// Size of the new claim: no less than the snapshot needs, nor than the
	// previous claim has.
	Size resource.Quantity `json:"size"`
	// PreviousSize is what the previous claim asked for.
	// +optional
	PreviousSize *resource.Quantity `json:"previousSize,omitempty"`
}

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// RepositorySource is a backup in a repository: that of one snapshot, or the newest
// of an application.
//
// +kubebuilder:validation:XValidation:rule="!has(self.snapshotID) || !has(self.application) && !has(self.asOf)",message="say which backup, by snapshotID alone, or by application and asOf"
type RepositorySource struct {
	// Ref names a ResticRepository of this namespace.
	Ref RepositoryReference `json:"ref"`

	// SnapshotID is what restic calls a snapshot, 8 to 64 digits of it. It needn't be
	// one of Lull's: what another tool wrote is restored as well.
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{8,64}$`
	// +optional
	SnapshotID string `json:"snapshotID,omitempty"`

	// Application is whose backup: its namespace and name, with a slash between, or
	// its name in this namespace. Default: target.applicationRef, in this namespace.
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="write the namespace and the name of the application that was backed up, as shop/mysql"
	// +optional
	Application string `json:"application,omitempty"`

	// AsOf is the moment that the data is to be from at the latest. Default: now.
	// +optional
	AsOf *metav1.Time `json:"asOf,omitempty"`

	// Claim is the one to restore of a backup. Default: all of the backup. For a
	// snapshot that another tool wrote it is the claim that it becomes.
	// +optional
	Claim ClaimName `json:"claim,omitempty"`
}

// FoundBackup is a backup in a repository.
type FoundBackup struct {
	// Repository is the ResticRepository.
	// +optional
	Repository string `json:"repository,omitempty"`
	// Application is its namespace and name, with a slash between, as the snapshots
	// say. For what another tool wrote it is the snapshot's host.
	// +optional
	Application string `json:"application,omitempty"`
	// BackupUID is that of the VolumeBackup, empty for what another tool wrote.
	// +optional
	BackupUID types.UID `json:"backupUID,omitempty"`
	// Snapshots are those of its claims.
	// +listType=map
	// +listMapKey=claimName
	// +optional
	Snapshots []RepositorySnapshot `json:"snapshots,omitempty"`
}

// RepositorySnapshot is a snapshot in a repository.
type RepositorySnapshot struct {
	// ClaimName is the claim that it is of.
	ClaimName string `json:"claimName"`
	// SnapshotID is what restic calls it, in full.
	SnapshotID string `json:"snapshotID"`
	// Time is when the data was cut.
	Time metav1.Time `json:"time"`
	// Size is what the data takes, 0 where restic didn't note it.
	// +optional
	Size resource.Quantity `json:"size,omitempty"`
	// Folder of the snapshot that becomes the volume's root. Empty for one of Lull's.
	// +optional
	Folder string `json:"folder,omitempty"`
	// VolumeMode is Block for a snapshot of a device.
	// +optional
	VolumeMode corev1.PersistentVolumeMode `json:"volumeMode,omitempty"`
}

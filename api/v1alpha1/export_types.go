package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ExportSpec says where the snapshots of a backup are shipped.
type ExportSpec struct {
	// RepositoryRef names a ResticRepository of the same namespace.
	RepositoryRef RepositoryReference `json:"repositoryRef"`

	// KeepSnapshot: the snapshots stay beside what is in the repository. With false
	// they go once all volumes are verified there, and restores of the backup come
	// from the repository.
	// +kubebuilder:default=true
	// +optional
	KeepSnapshot *bool `json:"keepSnapshot,omitempty"`

	// AllowEmpty exports volumes without a file too. Default: such a volume is an error,
	// unless its last export had no file either.
	// +optional
	AllowEmpty bool `json:"allowEmpty,omitempty"`
}

// RepositoryReference names a ResticRepository of the object's own namespace.
type RepositoryReference struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="write the name of the ResticRepository alone, without kind or namespace: lower-case letters, digits, '-' and '.'"
	Name string `json:"name"`
}

// ExportStatus is the export of one claim.
type ExportStatus struct {
	// SnapshotID is what restic calls it in the repository, in full. It is written
	// once the export is done and verified.
	// +optional
	SnapshotID string `json:"snapshotID,omitempty"`
	// Files are how many of them restic found.
	// +optional
	Files ExportedFiles `json:"files,omitempty"`
	// Processed is what they take.
	// +optional
	Processed *resource.Quantity `json:"processed,omitempty"`
	// Uploaded is what was added to the repository.
	// +optional
	Uploaded *resource.Quantity `json:"uploaded,omitempty"`
	// Duration is that of restic's run.
	// +optional
	Duration *metav1.Duration `json:"duration,omitempty"`
	// Attempts is how often it was tried, and LastAttemptTime when the last attempt
	// ended.
	// +optional
	Attempts int32 `json:"attempts,omitempty"`
	// +optional
	LastAttemptTime *metav1.Time `json:"lastAttemptTime,omitempty"`
	// NotStarted is how many attempts in a row ended since their pod didn't start: each
	// gave its place in the repository to others, and the next one comes after these.
	// +optional
	NotStarted int32 `json:"notStarted,omitempty"`
	// CloneUID is the UID of the claim that is read, once it was bound while the
	// VolumeSnapshot was still the one that was cut: the claim is made of it then.
	// +optional
	CloneUID types.UID `json:"cloneUID,omitempty"`
	// Message is what it waits for, or what was wrong with the last attempt.
	// +optional
	Message string `json:"message,omitempty"`
}

// ExportedFiles are numbers of files, compared with the export before.
type ExportedFiles struct {
	New        int64 `json:"new"`
	Changed    int64 `json:"changed"`
	Unmodified int64 `json:"unmodified"`
}

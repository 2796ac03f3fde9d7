package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ResticRepositoryStatus is what was observed of a repository.
type ResticRepositoryStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Message is one line for people: what is done, waited for, or wrong.
	// +optional
	Message string `json:"message,omitempty"`
	// RepositoryID is what restic calls it. It is written once: a repository that
	// was there and is gone is never made anew.
	// +optional
	RepositoryID string `json:"repositoryID,omitempty"`
	// PasswordSecretRef is the Secret of the password that it has. That of spec is
	// written here once it opens the repository and the one before doesn't any more.
	// +optional
	PasswordSecretRef *SecretKeyReference `json:"passwordSecretRef,omitempty"`
	// Snapshots is how many are in it, those of others too.
	// +optional
	Snapshots int32 `json:"snapshots,omitempty"`
	// ExpectedSnapshots is how many the next look is to find at least half of, unset
	// where nobody knows.
	// +optional
	ExpectedSnapshots *int32 `json:"expectedSnapshots,omitempty"`
	// Vanished tells of snapshots that were there and aren't any more, and that Lull
	// hasn't forgotten.
	// +optional
	Vanished *VanishedSnapshots `json:"vanished,omitempty"`
	// Contents are whose snapshots it has, those of other tools too.
	// +optional
	Contents *RepositoryContents `json:"contents,omitempty"`
	// Size is what it takes at its backend, as it was measured at the first look of
	// the day.
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`
	// LastLookTime is when it was last opened.
	// +optional
	LastLookTime *metav1.Time `json:"lastLookTime,omitempty"`
	// LastFailureTime is when an export or a restore last could not work in it, for a
	// cause that may be the repository's. Until the next look nothing begins in it.
	// +optional
	LastFailureTime *metav1.Time `json:"lastFailureTime,omitempty"`
	// LastRetentionTime is when policies' exports were last forgotten as their
	// retention says.
	// +optional
	LastRetentionTime *metav1.Time `json:"lastRetentionTime,omitempty"`
	// Retention is how far that is which is under way, in several tasks where one has
	// no room for all.
	// +optional
	Retention *RetentionProgress `json:"retention,omitempty"`
	// LastCheckTime is when it was last checked, and CheckedPart which part of the
	// data was read then, counted from 1.
	// +optional
	LastCheckTime *metav1.Time `json:"lastCheckTime,omitempty"`
	// +optional
	CheckedPart int32 `json:"checkedPart,omitempty"`
	// LastPruneTime is when it was last pruned.
	// +optional
	LastPruneTime *metav1.Time `json:"lastPruneTime,omitempty"`
	// FailedTasks are the tasks of maintenance that didn't come to their end when they
	// were last done, each with its own next try.
	// +listType=map
	// +listMapKey=task
	// +optional
	FailedTasks []FailedTask `json:"failedTasks,omitempty"`
	// Copies are the repositories of spec.copyTo, and what is known of the copies
	// there.
	// +listType=map
	// +listMapKey=name
	// +optional
	Copies []CopyStatus `json:"copies,omitempty"`
	// Conditions are the truth.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// RepositoryContents are whose snapshots a repository has: the first few, in the
// order of their names, and how many there are.
type RepositoryContents struct {
	// Hosts are namespaces and applications, with a slash between, where Lull made
	// the snapshots.
	// +listType=atomic
	// +optional
	Hosts []string `json:"hosts,omitempty"`
	// +optional
	HostCount int32 `json:"hostCount,omitempty"`
	// Paths are what the snapshots were made of, as restic calls it.
	// +listType=atomic
	// +optional
	Paths []string `json:"paths,omitempty"`
	// +optional
	PathCount int32 `json:"pathCount,omitempty"`
	// NewestTime is of when the youngest snapshot is.
	// +optional
	NewestTime *metav1.Time `json:"newestTime,omitempty"`
	// ExportsHash stands for the set of snapshots that exports into it have made,
	// without those that were copied into it: another set has another. Empty where
	// there is none.
	// +optional
	ExportsHash string `json:"exportsHash,omitempty"`
}

// CopyStatus is what is known of the copies in another repository.
type CopyStatus struct {
	// Name of that repository.
	Name string `json:"name"`
	// CopiedAt is when last all exports were seen to have a copy there.
	// +optional
	CopiedAt *metav1.Time `json:"copiedAt,omitempty"`
	// Snapshots is how many copies there were then, of exports that are here still.
	// +optional
	Snapshots int32 `json:"snapshots,omitempty"`
	// ExportsHash is that of the exports that had a copy, and RepositoryID is what
	// restic calls the repository where.
	// +optional
	ExportsHash string `json:"exportsHash,omitempty"`
	// +optional
	RepositoryID string `json:"repositoryID,omitempty"`
	// Reason is one word for how it stands: Copied, Copying, CopyWaiting, CopyRefused,
	// CopyFailed.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message says what is waited for or wrong, empty where nothing is.
	// +optional
	Message string `json:"message,omitempty"`
	// Attempts is how often copying was tried without success, and is tried again. 0:
	// it is left until the next look at the repository.
	// +optional
	Attempts int32 `json:"attempts,omitempty"`
	// LastAttemptTime is when the last attempt ended.
	// +optional
	LastAttemptTime *metav1.Time `json:"lastAttemptTime,omitempty"`
	// IsLocked: a mover that is gone may have left a lock, which is removed first.
	// +optional
	IsLocked bool `json:"isLocked,omitempty"`
}

// VanishedSnapshots are those that somebody else has forgotten.
type VanishedSnapshots struct {
	// Before is how many there were.
	Before int32 `json:"before"`
	// Since is when that was seen. The annotation lull.dev/accept-snapshots with this
	// value says that it is as it should be.
	Since metav1.Time `json:"since"`
}

// RetentionProgress is how far retention has come. It goes through histories: each is
// what one policy has exported of one application.
type RetentionProgress struct {
	// Since is when the first of its tasks ended. What is exported later is dealt with
	// the next time.
	Since metav1.Time `json:"since"`
	// Histories is how many are dealt with.
	Histories int32 `json:"histories"`
	// Through is the last of them: policy, namespace and application, with slashes
	// between. They are dealt with in their order.
	Through string `json:"through"`
}

// FailedTask is a task of maintenance that didn't come to its end.
type FailedTask struct {
	// Task is retain, check or prune.
	Task string `json:"task"`
	// Attempts is how often it was tried without success, and is tried again. 0:
	// another try mends nothing, and it is left until it is due again.
	// +optional
	Attempts int32 `json:"attempts,omitempty"`
	// LastAttemptTime is when the last attempt ended.
	// +optional
	LastAttemptTime *metav1.Time `json:"lastAttemptTime,omitempty"`
	// Message is what was wrong.
	// +optional
	Message string `json:"message,omitempty"`
	// IsLocked: a mover that is gone may have left a lock, which is removed first.
	// +optional
	IsLocked bool `json:"isLocked,omitempty"`
}

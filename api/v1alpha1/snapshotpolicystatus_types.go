package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SnapshotPolicyStatus is what was observed of a policy.
type SnapshotPolicyStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Message is one line for people: what is wrong, or when it runs next.
	// +optional
	Message string `json:"message,omitempty"`
	// LastScheduleTime is the newest due time that was dealt with: backups were
	// made for it, or it was missed.
	// +optional
	LastScheduleTime *metav1.Time `json:"lastScheduleTime,omitempty"`
	// LastSuccessTime is when a backup of the policy was last complete.
	// +optional
	LastSuccessTime *metav1.Time `json:"lastSuccessTime,omitempty"`
	// NextScheduleTime is when the policy is due next.
	// +optional
	NextScheduleTime *metav1.Time `json:"nextScheduleTime,omitempty"`
	// MissedRuns counts the due times that no backup was made for.
	// +optional
	MissedRuns int64 `json:"missedRuns,omitempty"`
	// ApplicationCount is how many applications the policy has.
	// +optional
	ApplicationCount int32 `json:"applicationCount"`
	// Applications of the policy, with their newest backups. At most 500, and fewer
	// where they take more than 1 MiB: first those that a run is open of, then those
	// whose newest run gave no backup.
	// +listType=atomic
	// +optional
	Applications []PolicyApplicationStatus `json:"applications,omitempty"`
	// DoneUntil is the moment until which everything that fell due is dealt with,
	// of the applications that Applications has no room for.
	// +optional
	DoneUntil *metav1.Time `json:"doneUntil,omitempty"`
	// Removal is what retention has removed since the newest due time.
	// +optional
	Removal *RemovalStatus `json:"removal,omitempty"`
	// MassDeletion is what others have deleted of the policy's backups, for as
	// long as retention is held for it.
	// +optional
	MassDeletion *MassDeletionStatus `json:"massDeletion,omitempty"`
	// Seen is the schedule that due times are counted by, and since when.
	// +optional
	Seen *SeenSchedule `json:"seen,omitempty"`
	// RunNow is the newest value of the annotation lull.dev/run-now that was
	// carried out.
	// +optional
	RunNow *RunNowStatus `json:"runNow,omitempty"`
	// Conditions are the truth.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// SeenSchedule is a schedule as it was seen. What fell due before isn't due by
// it.
type SeenSchedule struct {
	Schedule string `json:"schedule"`
	TimeZone string `json:"timeZone"`
	// +optional
	Suspended bool `json:"suspended,omitempty"`
	// Since is when it was first seen so.
	Since metav1.MicroTime `json:"since"`
}

// RemovalStatus counts the complete backups that retention has removed.
type RemovalStatus struct {
	// Run is the due time since which Removed counts.
	Run metav1.Time `json:"run"`
	// Removed since then, and Before since the due time before that.
	// +optional
	Removed int32 `json:"removed"`
	// +optional
	Before int32 `json:"before"`
}

// MassDeletionStatus is of twenty or more backups that were deleted within a
// minute and not by retention.
type MassDeletionStatus struct {
	// Since is when the first of them was deleted. It is the value of the
	// annotation lull.dev/release-retention by which a person has retention go on.
	Since metav1.Time `json:"since"`
	// Count of the deletions, which is exact once none came for a minute.
	Count int32 `json:"count"`
	// Backups that were deleted, as namespace/name for a policy of the cluster. At
	// most 500.
	// +listType=atomic
	// +optional
	Backups []string `json:"backups,omitempty"`
}

// RunNowStatus is a run that a person asked for.
type RunNowStatus struct {
	// Value of the annotation; of more than 253 bytes how it begins, and a hash.
	Value string `json:"value"`
	// At is when it was seen.
	At metav1.MicroTime `json:"at"`
	// Done is true once all of them are made or refused.
	// +optional
	Done bool `json:"done"`
	// Backups that were made, as namespace/name for a policy of the cluster. At
	// most 500.
	// +listType=atomic
	// +optional
	Backups []string `json:"backups,omitempty"`
	// Refused are the applications whose backup the API server refused, as for a
	// quota. At most 500.
	// +listType=atomic
	// +optional
	Refused []string `json:"refused,omitempty"`
	// Earlier are hashes of values before this one, the newest 100: they don't run
	// again.
	// +listType=atomic
	// +optional
	Earlier []string `json:"earlier,omitempty"`
}

// PolicyApplicationStatus is an application of a policy.
type PolicyApplicationStatus struct {
	// Namespace, of a policy of the cluster.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Kind and Name of the application.
	Kind ApplicationKind `json:"kind"`
	Name string          `json:"name"`
	// Since is since when due times count for it.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// LastBackup is its newest backup.
	// +optional
	LastBackup string `json:"lastBackup,omitempty"`
	// LastConsistency is the verdict on its newest complete backup.
	// +optional
	LastConsistency Consistency `json:"lastConsistency,omitempty"`
	// LastScheduleTime is its newest due time that was dealt with.
	// +optional
	LastScheduleTime *metav1.Time `json:"lastScheduleTime,omitempty"`
	// LastSuccessTime is when it last had a complete backup.
	// +optional
	LastSuccessTime *metav1.Time `json:"lastSuccessTime,omitempty"`
	// NextScheduleTime is when it is due next, with its own part of the jitter.
	// +optional
	NextScheduleTime *metav1.Time `json:"nextScheduleTime,omitempty"`
	// WaitingFor is the backup that its newest run waits for: the one before, which
	// goes on. It is told with the next write of the status.
	// +optional
	WaitingFor string `json:"waitingFor,omitempty"`
	// Message is why its newest run gave no backup, empty where it did.
	// +optional
	Message string `json:"message,omitempty"`
}

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// VolumeBackup is one backup of one application: it quiets the application by
// hooks, cuts CSI snapshots of its volumes at one instant and lets it go on.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=vb,categories=lull
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Application",type=string,JSONPath=`.spec.applicationRef.name`
// +kubebuilder:printcolumn:name="Consistency",type=string,JSONPath=`.status.consistency`
// +kubebuilder:printcolumn:name="Frozen",type=string,JSONPath=`.status.quiesce.frozenFor`
// +kubebuilder:printcolumn:name="Snapshots",type=string,JSONPath=`.status.snapshots`,description="ready / all"
// +kubebuilder:printcolumn:name="Exported",type=string,JSONPath=`.status.exported`,description="verified / all"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
type VolumeBackup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says what to back up and how. It can't be changed: another backup
	// is another object.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the spec of a backup can't be changed: create another VolumeBackup"
	Spec VolumeBackupSpec `json:"spec"`

	// Status is what was observed.
	// +optional
	Status VolumeBackupStatus `json:"status,omitempty"`
}

// StatusConditions are the conditions in its status, to read and to set.
func (b *VolumeBackup) StatusConditions() *[]metav1.Condition { return &b.Status.Conditions }

// HasLostSnapshots is true for a complete backup of which a snapshot is there no more.
// Nothing counts on it.
func (b *VolumeBackup) HasLostSnapshots() bool {
	ready := meta.FindStatusCondition(b.Status.Conditions, ConditionSnapshotsReady)
	return ready != nil && ready.Status != metav1.ConditionTrue && ready.Reason == ReasonSnapshotLost &&
		meta.IsStatusConditionTrue(b.Status.Conditions, ConditionComplete)
}

// VolumeBackupList is a list of VolumeBackups.
// +kubebuilder:object:root=true
type VolumeBackupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VolumeBackup `json:"items"`
}

// VolumeBackupSpec says what to back up and how.
//
// +kubebuilder:validation:XValidation:rule="!has(self.volumeSnapshotClassName) || !has(self.volumeGroupSnapshotClassName)",message="write one of volumeSnapshotClassName and volumeGroupSnapshotClassName: volumes are cut one by one, or as a group"
// +kubebuilder:validation:XValidation:rule="!has(self.export) || !has(self.export.keepSnapshot) || self.export.keepSnapshot || !has(self.deletionPolicy) || self.deletionPolicy == 'Delete'",message="export.keepSnapshot: false has the snapshots go, and deletionPolicy Retain or Orphan has them stay: leave one of both out"
type VolumeBackupSpec struct {
	// ApplicationRef names what to back up, in the backup's own namespace.
	ApplicationRef ApplicationReference `json:"applicationRef"`

	BackupSettings `json:",inline"`
}

// BackupSettings say how an application is backed up.
type BackupSettings struct {
	// Volumes narrows the claims. Default: every claim that the application's
	// pods mount.
	// +optional
	Volumes VolumeSelection `json:"volumes,omitempty"`

	// Quiesce says how the application is quieted. Each field stands over the
	// annotation of the pod template that says the same. Without either the
	// backup is taken from the running application, as a crash would leave it.
	// +optional
	Quiesce *QuiesceSpec `json:"quiesce,omitempty"`

	// VolumeSnapshotClassName is the class of the snapshots. Default: for each
	// driver its default class, else its only class.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	VolumeSnapshotClassName *string `json:"volumeSnapshotClassName,omitempty"`

	// VolumeGroupSnapshotClassName is the class of a group of snapshots, that
	// all volumes are cut in at once: all have to be of its driver. Default:
	// the driver's default class, where several volumes of one driver are
	// backed up and no VolumeSnapshotClassName is written; else none, and each
	// volume is cut by a snapshot of its own.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	VolumeGroupSnapshotClassName *string `json:"volumeGroupSnapshotClassName,omitempty"`

	// Attempts is how often a quiesce that was not proven is tried, 1 to 10.
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10
	// +optional
	Attempts int32 `json:"attempts,omitempty"`

	// Export ships the snapshots into a repository of restic. Without it they stay
	// in the storage that they were cut in.
	// +optional
	Export *ExportSpec `json:"export,omitempty"`

	// DeletionPolicy says what becomes of the snapshots when this object is
	// deleted: Delete takes them along, Retain leaves them, unbound from it.
	// Orphan does that too, and has their copies in the storage outlive the
	// namespace.
	// +kubebuilder:default=Delete
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// DeletionPolicy says what becomes of snapshots when their backup is deleted.
// +kubebuilder:validation:Enum=Delete;Retain;Orphan
type DeletionPolicy string

// The deletion policies.
const (
	DeletionDelete DeletionPolicy = "Delete"
	DeletionRetain DeletionPolicy = "Retain"
	DeletionOrphan DeletionPolicy = "Orphan"
)

// Phase is one word for people. It is derived from the conditions.
// +kubebuilder:validation:Enum=Pending;Quiescing;Snapshotting;Exporting;Completed;Failed;Deleting
type Phase string

// The phases of a VolumeBackup.
const (
	PhasePending      Phase = "Pending"
	PhaseQuiescing    Phase = "Quiescing"
	PhaseSnapshotting Phase = "Snapshotting"
	PhaseExporting    Phase = "Exporting"
	PhaseCompleted    Phase = "Completed"
	PhaseFailed       Phase = "Failed"
	PhaseDeleting     Phase = "Deleting"
)

// Consistency is the verdict on a backup. It is never rounded up.
// +kubebuilder:validation:Enum=Proven;Declared;Crash
type Consistency string

// The verdicts.
const (
	// Proven: the session that froze the application testified after the last
	// cut that it had held throughout, and what it kept still is enough for how
	// the volumes were cut; or no pod had the volumes mounted, and attachments or
	// the nodes themselves show it.
	Proven Consistency = "Proven"
	// Declared: in each pod a pre-hook succeeded before and a post-hook after;
	// or a session held throughout, or no pod could write to the volumes, and
	// something is left in doubt that the message of the condition Frozen names.
	Declared Consistency = "Declared"
	// Crash: nothing is known to have been quiet.
	Crash Consistency = "Crash"
)

// QuiesceMethod is how an application was quieted.
// +kubebuilder:validation:Enum=Hold;Hooks;Idle;None
type QuiesceMethod string

// The methods.
const (
	// MethodHold: one command in one session froze, held and thawed.
	MethodHold QuiesceMethod = "Hold"
	// MethodHooks: a command before and a command after. Other systems'
	// annotations may ask for only one of them: that quiets nothing that is
	// known of.
	MethodHooks QuiesceMethod = "Hooks"
	// MethodIdle: no pod could write to the volumes, by what the API knows.
	MethodIdle QuiesceMethod = "Idle"
	// MethodNone: the application ran on.
	MethodNone QuiesceMethod = "None"
)

// VolumeBackupStatus is what was observed of a backup.
type VolumeBackupStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Phase is one word for people.
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// Message is one line for people: what is done, waited for, or wrong.
	// +optional
	Message string `json:"message,omitempty"`
	// ApplicationUID is the UID of the object that was backed up. An object of
	// the same name with another UID isn't it.
	// +optional
	ApplicationUID types.UID `json:"applicationUID,omitempty"`
	// Consistency is the verdict, once the snapshots are cut.
	// +optional
	Consistency Consistency `json:"consistency,omitempty"`
	// Quiesce is the newest attempt to quiet the application.
	// +optional
	Quiesce *QuiesceStatus `json:"quiesce,omitempty"`
	// Unthawed is an attempt whose pods could not be released, after which the
	// backup went on without quiet, as OnFailure says. They may still be frozen.
	// +optional
	Unthawed *QuiesceStatus `json:"unthawed,omitempty"`
	// Warnings are what the owner of the application should know of the newest
	// attempt, at most 20, of 1024 bytes each. Each was told by an event too.
	// +listType=atomic
	// +optional
	Warnings []string `json:"warnings,omitempty"`
	// Volumes is the set of claims that this backup set out to back up, fixed
	// when an attempt starts, with their snapshots.
	// +listType=map
	// +listMapKey=claimName
	// +optional
	Volumes []VolumeStatus `json:"volumes,omitempty"`
	// Snapshots is the number of ready snapshots and of all, as "1/2".
	// +optional
	Snapshots string `json:"snapshots,omitempty"`
	// Exported is the number of verified exports and of all, as "1/2". It is empty
	// where none was asked for.
	// +optional
	Exported string `json:"exported,omitempty"`
	// StartTime is when the backup was first seen.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// CompletionTime is when it was complete or had failed.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Conditions are the truth.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// QuiesceStatus is one attempt to quiet an application. It is written before
// the first command runs, so that whoever comes after a crash knows what to
// thaw: an attempt without ThawedAt is to be thawed first.
type QuiesceStatus struct {
	// Method is how.
	Method QuiesceMethod `json:"method"`
	// Attempt counts from 1.
	Attempt int32 `json:"attempt"`
	// StartedAt is when the intent was written.
	StartedAt metav1.MicroTime `json:"startedAt"`
	// Deadline is when the application has to be thawed, cut or not.
	// +optional
	Deadline *metav1.MicroTime `json:"deadline,omitempty"`
	// FrozenAt is when all pods held.
	// +optional
	FrozenAt *metav1.MicroTime `json:"frozenAt,omitempty"`
	// CutAt is when all snapshots were seen cut.
	// +optional
	CutAt *metav1.MicroTime `json:"cutAt,omitempty"`
	// ThawedAt is when all pods were released. A pre-hook that has no post-hook
	// is released by nobody: of its pod it is when nothing was left to be run.
	// +optional
	ThawedAt *metav1.MicroTime `json:"thawedAt,omitempty"`
	// FrozenFor is the time from the first freeze to the last thaw.
	// +optional
	FrozenFor *metav1.Duration `json:"frozenFor,omitempty"`
	// OnFailure is what was asked for, by the spec or by annotation.
	// +optional
	OnFailure OnFailure `json:"onFailure,omitempty"`
	// Pods that are quieted.
	// +optional
	Pods []QuiescedPod `json:"pods,omitempty"`
	// ThawAttempts counts the rounds of post-hooks after a crash or a failure.
	// +optional
	ThawAttempts int32 `json:"thawAttempts,omitempty"`
	// ThawTriedAt is when the last of those rounds began.
	// +optional
	ThawTriedAt *metav1.MicroTime `json:"thawTriedAt,omitempty"`
	// ThawGivenUpAt is when it was given up to release the pods, where OnFailure
	// says to go on. They may still be frozen.
	// +optional
	ThawGivenUpAt *metav1.MicroTime `json:"thawGivenUpAt,omitempty"`
	// GroupSnapshotName is the VolumeGroupSnapshot that cuts the volumes, where
	// they are cut as a group.
	// +optional
	GroupSnapshotName string `json:"groupSnapshotName,omitempty"`
	// GroupSnapshotUID is the UID of the one that was seen cut. A group of the
	// same name with another UID isn't it.
	// +optional
	GroupSnapshotUID types.UID `json:"groupSnapshotUID,omitempty"`
	// GroupSnapshotHandle is what the driver calls the group. A snapshot is of the
	// group where its content says so by this handle.
	// +optional
	GroupSnapshotHandle string `json:"groupSnapshotHandle,omitempty"`
	// Failure is why this attempt was given up.
	// +optional
	Failure string `json:"failure,omitempty"`
}

// QuiescedPod is a pod that is quieted in an attempt.
type QuiescedPod struct {
	// Name of the pod.
	Name string `json:"name"`
	// UID of the pod: a pod of the same name with another UID isn't it.
	UID types.UID `json:"uid"`
	// Container that the commands run in.
	Container string `json:"container"`
	// PreContainer is the container that the pre-hook runs in, where that is
	// another one.
	// +optional
	PreContainer string `json:"preContainer,omitempty"`
	// Post is the command that thaws, where the freeze outlives its session.
	// +optional
	Post []string `json:"post,omitempty"`
	// PostTimeout is the longest that Post may take, 1s to 1h. Default: 30s.
	// +optional
	PostTimeout *metav1.Duration `json:"postTimeout,omitempty"`
	// Thawed is true once the pod is known to be released, or gone.
	// +optional
	Thawed bool `json:"thawed"`
}

// VolumeStatus is a claim with its snapshot.
type VolumeStatus struct {
	// ClaimName is the PersistentVolumeClaim.
	ClaimName string `json:"claimName"`
	// VolumeName is the PersistentVolume.
	// +optional
	VolumeName string `json:"volumeName,omitempty"`
	// Driver is the CSI driver of the volume.
	// +optional
	Driver string `json:"driver,omitempty"`
	// VolumeSnapshotClassName is the class of the snapshot, empty for one of a
	// group.
	// +optional
	VolumeSnapshotClassName string `json:"volumeSnapshotClassName,omitempty"`
	// SnapshotName is the VolumeSnapshot. Of a group it is known a moment after
	// the cut.
	// +optional
	SnapshotName string `json:"snapshotName,omitempty"`
	// SnapshotUID is the UID of the VolumeSnapshot that was cut. One of the same name
	// with another UID isn't it: nothing is restored from that, nor is it deleted.
	// The same goes for all that follows up to SnapshotHandle.
	// +optional
	SnapshotUID types.UID `json:"snapshotUID,omitempty"`
	// ContentName is the VolumeSnapshotContent.
	// +optional
	ContentName string `json:"contentName,omitempty"`
	// ContentUID is the UID of the VolumeSnapshotContent.
	// +optional
	ContentUID types.UID `json:"contentUID,omitempty"`
	// SnapshotHandle is what the driver calls the copy.
	// +optional
	SnapshotHandle string `json:"snapshotHandle,omitempty"`
	// CreationTime is the driver's own word of when it cut. Its clock isn't
	// ours, and its resolution may be a second.
	// +optional
	CreationTime *metav1.Time `json:"creationTime,omitempty"`
	// ReadyToUse is true once the snapshot can be restored.
	// +optional
	ReadyToUse bool `json:"readyToUse"`
	// RestoreSize is the least size of a volume that is made from it, in bytes.
	// +optional
	RestoreSize *resource.Quantity `json:"restoreSize,omitempty"`
	// Export is what became of the claim's export.
	// +optional
	Export *ExportStatus `json:"export,omitempty"`
	// Claim is how the claim was when it was backed up. A restore makes it like
	// that where it is gone. A backup without it tells no more than a size.
	// +optional
	Claim *BackedUpClaim `json:"claim,omitempty"`
}

// BackedUpClaim is how a PersistentVolumeClaim was when it was backed up.
type BackedUpClaim struct {
	// Labels of the claim.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations of the claim, but those that Kubernetes binds by, what kubectl
	// applied last, and any of more than 1024 bytes.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// AccessModes of the claim.
	// +optional
	AccessModes []corev1.PersistentVolumeAccessMode `json:"accessModes,omitempty"`
	// VolumeMode of the claim.
	// +optional
	VolumeMode *corev1.PersistentVolumeMode `json:"volumeMode,omitempty"`
	// StorageClassName of the claim.
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`
	// VolumeAttributesClassName of the claim.
	// +optional
	VolumeAttributesClassName *string `json:"volumeAttributesClassName,omitempty"`
	// Size is what the claim asked for.
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`
	// Capacity is what its volume had.
	// +optional
	Capacity *resource.Quantity `json:"capacity,omitempty"`
}

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// VolumeRestore is one restore of one application: it makes claims from a
// backup's snapshots, sees that they mount, and only then stops the
// application and lets it go on with them. What it replaces is kept.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=vr,categories=lull
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Source",type=string,JSONPath=`.status.source`
// +kubebuilder:printcolumn:name="Application",type=string,JSONPath=`.status.application.name`
// +kubebuilder:printcolumn:name="Strategy",type=string,JSONPath=`.status.strategy`
// +kubebuilder:printcolumn:name="Downtime",type=string,JSONPath=`.status.downtime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.message`,priority=1
// +kubebuilder:validation:XValidation:rule="!oldSelf.spec.rollBack || self.spec.rollBack || !has(self.status) || !has(self.status.rollBack) || has(self.status.rollBack.endedAt) && has(self.status.phase) && self.status.phase != 'RolledBack'",message="a rollback can't be taken back: create another VolumeRestore to restore again"
type VolumeRestore struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says what to restore, onto what and how. Only rollBack and
	// releasePrevious can be changed: another restore is another object.
	Spec VolumeRestoreSpec `json:"spec"`

	// Status is what was observed, and what is about to be done.
	// +optional
	Status VolumeRestoreStatus `json:"status,omitempty"`
}

// StatusConditions are the conditions in its status, to read and to set.
func (v *VolumeRestore) StatusConditions() *[]metav1.Condition { return &v.Status.Conditions }

// VolumeRestoreList is a list of VolumeRestores.
// +kubebuilder:object:root=true
type VolumeRestoreList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VolumeRestore `json:"items"`
}

// VolumeRestoreSpec says what to restore, onto what and how.
//
// +kubebuilder:validation:XValidation:rule="!has(self.source.paths) || has(self.target.strategy) && self.target.strategy == 'ClaimsOnly'",message="paths are restored into claims alone: write target.strategy: ClaimsOnly, and copy from the new claims what you need, or have them written into a folder of a claim that is there by target.targetPath"
// +kubebuilder:validation:XValidation:rule="!has(self.target.targetPath) || has(self.source.paths)",message="target.targetPath is for some paths: write them into source.paths. All of a backup is restored into new claims, or into the application"
// +kubebuilder:validation:XValidation:rule="!has(self.target.targetPath) || !has(self.target.size) && !has(self.target.storageClassName)",message="with target.targetPath the claim is there already, with a size and a class: leave out target.size and target.storageClassName"
// +kubebuilder:validation:XValidation:rule="!has(self.source.repository) || has(self.target.applicationRef) || has(self.target.strategy) && self.target.strategy == 'ClaimsOnly'",message="a repository doesn't say what kind an application is: write target.applicationRef: {kind: ..., name: ...}, or target.strategy: ClaimsOnly to make claims alone"
// +kubebuilder:validation:XValidation:rule="!has(self.source.repository) || has(self.target.applicationRef) || has(self.source.repository.application) || has(self.source.repository.snapshotID)",message="say whose backup: write source.repository.application: namespace/name, or source.repository.snapshotID"
// +kubebuilder:validation:XValidation:rule="self.source == oldSelf.source && self.target == oldSelf.target && self.volumes == oldSelf.volumes && self.previousClaims == oldSelf.previousClaims && duration(self.readyTimeout) == duration(oldSelf.readyTimeout) && self.onFailure == oldSelf.onFailure && self.again == oldSelf.again",message="of a restore's spec only rollBack and releasePrevious can be changed: create another VolumeRestore"
type VolumeRestoreSpec struct {
	// Source is what to restore from.
	Source RestoreSource `json:"source"`

	// Target is what to restore onto. Default: the application that was backed
	// up.
	// +kubebuilder:default={}
	// +optional
	Target RestoreTarget `json:"target,omitempty"`

	// Volumes narrows the claims, by the names they had in the backup. Default:
	// all that it holds.
	// +kubebuilder:default={}
	// +optional
	Volumes VolumeSelection `json:"volumes,omitempty"`

	// PreviousClaims says what becomes of the claims and volumes that are
	// replaced: Keep (default), or Delete them after success.
	// +kubebuilder:default=Keep
	// +optional
	PreviousClaims PreviousClaims `json:"previousClaims,omitempty"`

	// ReadyTimeout is how long the application may take to be ready again, 1s
	// to 24h, on top of what it takes at least by its own settings
	// (minReadySeconds, the initial delays of its probes, for one replica after
	// the other where they start in turn). Past it the restore is undone; on
	// what it had before, the application is waited for two minutes at least.
	// +kubebuilder:default="5m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('24h')",message="write a duration from 1s to 24h, such as 90s or 5m"
	// +optional
	ReadyTimeout *metav1.Duration `json:"readyTimeout,omitempty"`

	// OnFailure says what to do when the application doesn't become ready:
	// RollBack (default), or Leave everything as it is then.
	// +kubebuilder:default=RollBack
	// +optional
	OnFailure RestoreOnFailure `json:"onFailure,omitempty"`

	// RollBack, set to true, undoes the restore: the application gets back
	// what it had before. Once it has begun it can't be taken back. Where it
	// was refused, or failed, set it to false and to true again to ask again.
	// +kubebuilder:default=false
	// +optional
	RollBack bool `json:"rollBack,omitempty"`

	// ReleasePrevious, set to true on a restore that has ended, lets go what it keeps:
	// the claims and volumes that it replaced or, where it was undone, those that the
	// application has run on meanwhile. Their reclaim policy, as it was, decides what
	// becomes of the data, and there is no way back to it. What is in use stays, and
	// so does all else then; set it to false and to true again to ask again.
	// +kubebuilder:default=false
	// +optional
	ReleasePrevious bool `json:"releasePrevious,omitempty"`

	// Again carries out a restore though one of the same name and spec was carried
	// out before. Without it that is refused: the manifest may just have been applied
	// again, by GitOps or with a restored cluster.
	// +kubebuilder:default=false
	// +optional
	Again bool `json:"again,omitempty"`
}

// RestoreSource names what to restore from.
//
// +kubebuilder:validation:XValidation:rule="[has(self.volumeBackupRef), has(self.policy), has(self.repository)].filter(is, is).size() == 1",message="say what to restore from, by one of volumeBackupRef: {name: ...}, policy: {ref: {name: ...}} and repository: {ref: {name: ...}}"
type RestoreSource struct {
	// VolumeBackupRef names a complete VolumeBackup of this namespace.
	// +optional
	VolumeBackupRef *LocalReference `json:"volumeBackupRef,omitempty"`

	// Policy takes the newest complete backup of a policy. Where that has backups
	// of several applications, target.applicationRef says which.
	// +optional
	Policy *PolicySource `json:"policy,omitempty"`

	// Repository takes what was exported into a ResticRepository.
	// +optional
	Repository *RepositorySource `json:"repository,omitempty"`

	// Paths are the files and folders to restore, from the volume's root: /etc/app.conf.
	// They mean themselves: no character is a pattern, and no symbolic link is
	// followed. They are restored into new claims, or into a folder of one that is
	// there (target.targetPath), by strategy ClaimsOnly.
	// Where a backup holds several claims, volumes.include says which of them the
	// paths are of. Default: everything.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:items:XValidation:rule="self.startsWith('/') && self != '/' && !self.endsWith('/') && !self.contains('//') && !(self + '/').contains('/./') && !(self + '/').contains('/../')",message="write a path from the volume's root, without . and .. in it and without a slash at its end, as /etc/app.conf"
	// +listType=set
	// +optional
	Paths []string `json:"paths,omitempty"`
}

// PolicySource is a backup of a policy.
type PolicySource struct {
	// Ref names the policy, of this namespace or of the cluster. It needn't be
	// there any more.
	Ref LocalReference `json:"ref"`

	// AsOf is the moment that the data is to be from at the latest. Default: now.
	// +optional
	AsOf *metav1.Time `json:"asOf,omitempty"`
}

// LocalReference names an object in the same namespace.
type LocalReference struct {
	// Name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// RestoreTarget is what to restore onto.
type RestoreTarget struct {
	// ApplicationRef names the workload. Default: the one that was backed up.
	// It has to be written where that one was deleted and made anew since.
	// +optional
	ApplicationRef *ApplicationReference `json:"applicationRef,omitempty"`

	// Strategy is how the application gets its new volumes.
	// +kubebuilder:default=Auto
	// +optional
	Strategy RestoreStrategy `json:"strategy,omitempty"`

	// Claims are names for the new claims, by the names in the backup, each
	// another. With Replace they are the claims of the application that are
	// replaced, and with targetPath those that are written into.
	// +kubebuilder:validation:MaxProperties=256
	// +kubebuilder:validation:XValidation:rule="self.all(c, self[c].matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$') && size(self[c]) <= 253)",message="a claim's name has at most 253 lower-case letters, digits, '-' and '.'"
	// +kubebuilder:validation:XValidation:rule="size(self) > 64 || self.all(c, self.exists_one(other, self[other] == self[c]))",message="each claim needs a name of its own"
	// +optional
	Claims map[string]ClaimName `json:"claims,omitempty"`

	// StorageClassName is the class of the new claims. Default: that of the
	// claims they replace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	StorageClassName *string `json:"storageClassName,omitempty"`

	// Size of each new claim, at least what its snapshot needs (its restoreSize).
	// Default: the largest of that and of what the claim asks for and has, or had
	// when it was backed up. It has to be written where none of those is known.
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`

	// TargetPath is a folder of a claim that is there already, from its volume's
	// root, for source.paths: /restored. No pod may mount the claim meanwhile. The
	// folder is made; where it is there it has to be empty, so that nothing is
	// written over. Which claim is said by claims; default: the one that was backed up.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/') && self != '/' && !self.endsWith('/') && !self.contains('//') && !(self + '/').contains('/./') && !(self + '/').contains('/../')",message="write a folder from the volume's root, without . and .. in it and without a slash at its end, as /restored"
	// +optional
	TargetPath string `json:"targetPath,omitempty"`
}

// ClaimName is the name of a PersistentVolumeClaim.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
type ClaimName string

// RestoreStrategy is how an application gets its new volumes.
// +kubebuilder:validation:Enum=Auto;Repoint;Replace;ClaimsOnly
type RestoreStrategy string

// The strategies.
const (
	// StrategyAuto is Repoint for what can be repointed and isn't managed by
	// another tool, and Replace otherwise.
	StrategyAuto RestoreStrategy = "Auto"
	// StrategyRepoint makes claims of new names and points the pod template at
	// them.
	StrategyRepoint RestoreStrategy = "Repoint"
	// StrategyReplace puts other volumes under the claims' old names.
	StrategyReplace RestoreStrategy = "Replace"
	// StrategyClaimsOnly makes claims and touches no workload.
	StrategyClaimsOnly RestoreStrategy = "ClaimsOnly"
)

// PreviousClaims says what becomes of what a restore replaces.
// +kubebuilder:validation:Enum=Keep;Delete
type PreviousClaims string

// What becomes of previous claims.
const (
	PreviousKeep   PreviousClaims = "Keep"
	PreviousDelete PreviousClaims = "Delete"
)

// RestoreOnFailure says what becomes of a restore whose application isn't
// ready in time.
// +kubebuilder:validation:Enum=RollBack;Leave
type RestoreOnFailure string

// The ways out.
const (
	RestoreRollBack RestoreOnFailure = "RollBack"
	RestoreLeave    RestoreOnFailure = "Leave"
)

// RestorePhase is one word for people. It is derived from the conditions and
// the step.
// +kubebuilder:validation:Enum=Pending;Preparing;ScalingDown;Swapping;ScalingUp;Completed;RollingBack;RolledBack;Failed;Deleting
type RestorePhase string

// The phases of a VolumeRestore.
const (
	RestorePending     RestorePhase = "Pending"
	RestorePreparing   RestorePhase = "Preparing"
	RestoreScalingDown RestorePhase = "ScalingDown"
	RestoreSwapping    RestorePhase = "Swapping"
	RestoreScalingUp   RestorePhase = "ScalingUp"
	RestoreCompleted   RestorePhase = "Completed"
	RestoreRollingBack RestorePhase = "RollingBack"
	RestoreRolledBack  RestorePhase = "RolledBack"
	RestoreFailed      RestorePhase = "Failed"
	RestoreDeleting    RestorePhase = "Deleting"
)

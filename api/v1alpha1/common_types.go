package v1alpha1

// ApplicationKind is a kind of workload, or a claim, that can be backed up.
// +kubebuilder:validation:Enum=Deployment;StatefulSet;DaemonSet;ReplicaSet;ReplicationController;Pod;PersistentVolumeClaim
type ApplicationKind string

// The kinds that an ApplicationReference can name.
const (
	KindDeployment            ApplicationKind = "Deployment"
	KindStatefulSet           ApplicationKind = "StatefulSet"
	KindDaemonSet             ApplicationKind = "DaemonSet"
	KindReplicaSet            ApplicationKind = "ReplicaSet"
	KindReplicationController ApplicationKind = "ReplicationController"
	KindPod                   ApplicationKind = "Pod"
	KindPersistentVolumeClaim ApplicationKind = "PersistentVolumeClaim"
)

// ApplicationReference names an application in the object's own namespace.
type ApplicationReference struct {
	// Kind of the application.
	// +kubebuilder:default=Deployment
	// +optional
	Kind ApplicationKind `json:"kind,omitempty"`

	// Name of the application.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="write the name of the workload alone, without kind or namespace: lower-case letters, digits, '-' and '.'"
	Name string `json:"name"`
}

// VolumeSelection narrows the claims that an application's pods mount.
// +kubebuilder:validation:XValidation:rule="!has(self.include) || !has(self.exclude) || !self.include.exists(c, c in self.exclude)",message="a claim stands in both include and exclude: remove it from one of them"
type VolumeSelection struct {
	// Include names the claims to take. Empty takes every claim that the
	// application's pods mount. A name that the application doesn't mount is
	// an error.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=set
	// +optional
	Include []string `json:"include,omitempty"`

	// Exclude names the claims to leave out.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	// +listType=set
	// +optional
	Exclude []string `json:"exclude,omitempty"`
}

// Annotations on what is retained of a backup that is deleted.
const (
	// AnnotationRetainedFrom is the name of that backup.
	AnnotationRetainedFrom = "lull.dev/retained-from"
	// AnnotationConsistency is its verdict.
	AnnotationConsistency = "lull.dev/consistency"
)

// Annotations of policies.
const (
	// AnnotationPolicy on a workload or a claim has it join policies, by their
	// names with commas between.
	AnnotationPolicy = "lull.dev/policy"
	// AnnotationBackup on a workload or a claim has no policy take it, where it is
	// "false".
	AnnotationBackup = "lull.dev/backup"
	// AnnotationPolicies on a namespace has no policy of the cluster select in it,
	// where it is PoliciesNone.
	AnnotationPolicies = "lull.dev/policies"
	PoliciesNone       = "none"
	// AnnotationKeep on a backup has retention leave it alone, where it is "true". Its
	// snapshots stay too, though export.keepSnapshot may be false.
	AnnotationKeep = "lull.dev/keep"
	// AnnotationRunNow on a policy has it make a backup of each of its applications
	// at once: each value once.
	AnnotationRunNow = "lull.dev/run-now"
	// AnnotationReleaseRetention on a policy has it remove what it holds back,
	// where it is the policy's generation. Where others have deleted backups,
	// retention goes on once it is status.massDeletion.since.
	AnnotationReleaseRetention = "lull.dev/release-retention"
	// AnnotationAcceptSnapshots on a repository says that it may have as few
	// snapshots as it has, where it is status.vanished.since.
	AnnotationAcceptSnapshots = "lull.dev/accept-snapshots"
	// AnnotationDiscard on a backup has its snapshots and their copies go with it,
	// whatever its deletionPolicy says, where it is "true": its policy's retention
	// removes it.
	AnnotationDiscard = "lull.dev/discard"
	// AnnotationScheduledAt on a backup is the due time that it was made for.
	AnnotationScheduledAt = "lull.dev/scheduled-at"
)

// AnnotationRestored begins the annotations of a workload and of a backup by which it
// is on record that a restore was carried out. Its name follows.
const AnnotationRestored = "restored.lull.dev/"

// AnnotationResync is on a pod that was changed to have its kubelet look at it
// again: how often that was done.
const AnnotationResync = "lull.dev/resync"

// Annotations that are read from a workload's pod template, or from the pod
// itself where there is no template that we know.
const (
	AnnotationQuiesce        = "lull.dev/quiesce"
	AnnotationHoldHook       = "lull.dev/hold-hook"
	AnnotationHoldStills     = "lull.dev/hold-stills"
	AnnotationPreHook        = "lull.dev/pre-hook"
	AnnotationPostHook       = "lull.dev/post-hook"
	AnnotationHookContainer  = "lull.dev/hook-container"
	AnnotationHookTimeout    = "lull.dev/hook-timeout"
	AnnotationHookOnFailure  = "lull.dev/hook-on-failure"
	AnnotationExcludeVolumes = "lull.dev/exclude-volumes"
)

// MarkCopiesFiles on a VolumeSnapshotClass or a VolumeGroupSnapshotClass, as an
// annotation or a label, says that what is cut by it isn't of one instant: its
// driver copies a volume file by file, or the volumes of a group one after
// another. The value "false" says the opposite.
const MarkCopiesFiles = "lull.dev/copies-files"

// AnnotationCacheOf on a claim of restic's cache is the claim whose exports have it.
const AnnotationCacheOf = "lull.dev/cache-of"

// AnnotationPrivilegedMovers on a namespace, with the value "true", lets movers run
// as root there, where their repository asks for it.
const AnnotationPrivilegedMovers = "lull.dev/privileged-movers"

// Labels on what we make. Values that would be longer than a label may be are
// cut and carry a hash.
const (
	LabelBackup      = "lull.dev/backup"
	LabelBackupUID   = "lull.dev/backup-uid"
	LabelApplication = "lull.dev/application"
	LabelClaim       = "lull.dev/claim"
	// LabelNamespace is on what has none of its own: where it is from.
	LabelNamespace = "lull.dev/namespace"
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelGroup is on claims that are, or were, cut as a group: the name of
	// its newest VolumeGroupSnapshot.
	LabelGroup      = "lull.dev/group"
	LabelRestore    = "lull.dev/restore"
	LabelRestoreUID = "lull.dev/restore-uid"
	// LabelPolicy on a backup is the policy that it counts in, and
	// LabelPolicyScope is PolicyScopeCluster where that is one of the cluster.
	LabelPolicy        = "lull.dev/policy"
	LabelPolicyScope   = "lull.dev/policy-scope"
	PolicyScopeCluster = "Cluster"
	// LabelRepository is on the Jobs that work in a repository: its name.
	LabelRepository = "lull.dev/repository"
	// LabelFromRepository is on the Jobs that read a second repository, to copy it
	// into the first: its name.
	LabelFromRepository = "lull.dev/from-repository"
	// LabelCache is on the claims of restic's cache, with what they are like as its
	// value, and on the Jobs that have one, with its name.
	LabelCache = "lull.dev/cache"
	// LabelPrevious marks the claims and volumes that a restore replaced and
	// keeps.
	LabelPrevious = "lull.dev/previous"

	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "lull"
)

// FinalizerVolumeBackup keeps a VolumeBackup until its application is thawed
// and its snapshots are gone or let go.
const FinalizerVolumeBackup = "lull.dev/volumebackup"

// FinalizerVolumeRestore keeps a VolumeRestore until its application runs, on
// the new volumes or on the old ones.
const FinalizerVolumeRestore = "lull.dev/volumerestore"

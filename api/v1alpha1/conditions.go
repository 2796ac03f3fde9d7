package v1alpha1

// Types of conditions.
const (
	ConditionFrozen         = "Frozen"
	ConditionSnapshotsCut   = "SnapshotsCut"
	ConditionThawed         = "Thawed"
	ConditionSnapshotsReady = "SnapshotsReady"
	ConditionExported       = "Exported"
	ConditionComplete       = "Complete"
	ConditionFailed         = "Failed"
	// ConditionReady of a policy: it will run. ConditionHealthy: the last due run
	// of every application succeeded.
	ConditionReady   = "Ready"
	ConditionHealthy = "Healthy"
	// ConditionCopied of a repository: all its exports have a copy in each repository
	// of spec.copyTo.
	ConditionCopied = "Copied"
	// ConditionReconciling and ConditionStalled are those of kstatus.
	ConditionReconciling = "Reconciling"
	ConditionStalled     = "Stalled"
)

// Reasons of conditions.
const (
	ReasonApplicationNotFound   = "ApplicationNotFound"
	ReasonNoVolumes             = "NoVolumes"
	ReasonClaimNotFound         = "ClaimNotFound"
	ReasonClaimNotBound         = "ClaimNotBound"
	ReasonNotCSI                = "NotCSI"
	ReasonNoSnapshotClass       = "NoSnapshotClass"
	ReasonAmbiguousClass        = "AmbiguousSnapshotClass"
	ReasonSnapshotClassMismatch = "SnapshotClassMismatch"
	ReasonPodNotRunning         = "PodNotRunning"
	ReasonContainerNotFound     = "ContainerNotFound"
	ReasonContainerMountsNone   = "ContainerMountsNone"
	ReasonInvalidHook           = "InvalidHook"
	ReasonUnknownRecipe         = "UnknownRecipe"
	ReasonConflictingHooks      = "ConflictingHooks"
	ReasonUselessHook           = "UselessHook"
	ReasonUnpairedHook          = "UnpairedHook"
	ReasonTimeoutShortened      = "TimeoutShortened"
	ReasonNoWatchman            = "NoWatchman"
	ReasonAnnotationNotRead     = "AnnotationNotRead"
	ReasonNothingExcluded       = "NothingExcluded"
	ReasonClassRetains          = "ClassRetains"
	// ReasonLimitExceeded: there is too much of something, or an object is larger
	// than the API takes. It is a reason of every kind.
	ReasonLimitExceeded   = "LimitExceeded"
	ReasonWaitingForRoom  = "WaitingForRoom"
	ReasonApplicationBusy = "ApplicationBusy"

	ReasonAPIError      = "APIError"
	ReasonPreparing     = "Preparing"
	ReasonQuiescing     = "Quiescing"
	ReasonHeld          = "Held"
	ReasonNotQuieted    = "NotQuieted"
	ReasonQuiesceFailed = "QuiesceFailed"
	ReasonNotCut        = "NotCut"
	ReasonAllCut        = "AllCut"
	ReasonThawed        = "Thawed"
	ReasonThawing       = "Thawing"
	ReasonThawFailed    = "ThawFailed"
	ReasonRetrying      = "Retrying"
	ReasonAllReady      = "AllReady"
	ReasonNotReady      = "NotReady"
	ReasonSnapshotLost  = "SnapshotLost"
	// ReasonSnapshotReplaced: a VolumeSnapshot of the name that is on record is there,
	// and isn't the one that was cut. Restores end by it too.
	ReasonSnapshotReplaced = "SnapshotReplaced"

	ReasonReadyTimeout  = "ReadyTimeout"
	ReasonExporting     = "Exporting"
	ReasonExported      = "Exported"
	ReasonExportFailed  = "ExportFailed"
	ReasonOnlyExported  = "OnlyExported"
	ReasonJobExists     = "JobExists"
	ReasonCompleted     = "Completed"
	ReasonDeleting      = "Deleting"
	ReasonDeletionStuck = "DeletionStuck"
	// ReasonAlreadyBackedUp: a backup of that name was taken before, and its snapshots
	// are there.
	ReasonAlreadyBackedUp = "AlreadyBackedUp"
	// ReasonPutBack: Velero has put the object back, and it is left alone. Restores end
	// by it too.
	ReasonPutBack = "PutBack"
)

// Reasons of conditions of a ResticRepository, beside those that it shares and the
// causes of what a mover couldn't do.
const (
	ReasonOpening            = "Opening"
	ReasonOpened             = "Opened"
	ReasonInitialising       = "Initialising"
	ReasonMoverPending       = "MoverPending"
	ReasonRepositoryVanished = "RepositoryVanished"
	ReasonRepositoryChanged  = "RepositoryChanged"
	ReasonMaintaining        = "Maintaining"
	ReasonChecked            = "Checked"
	ReasonDamaged            = "Damaged"
	ReasonSnapshotsVanished  = "SnapshotsVanished"
	ReasonAccepted           = "Accepted"
	ReasonRekeying           = "Rekeying"
	ReasonRekeyFailed        = "PasswordNotExchanged"
	ReasonCopied             = "Copied"
	ReasonCopying            = "Copying"
	ReasonCopyWaiting        = "CopyWaiting"
	ReasonCopyRefused        = "CopyRefused"
	ReasonCopyFailed         = "CopyFailed"
)

// Types of conditions of a VolumeRestore, beside those that it shares.
const (
	ConditionClaimsReady      = "ClaimsReady"
	ConditionClaimsFilled     = "ClaimsFilled"
	ConditionScaledDown       = "ScaledDown"
	ConditionSwapped          = "Swapped"
	ConditionApplicationReady = "ApplicationReady"
	ConditionRolledBack       = "RolledBack"
	// ConditionPreviousReleased: what it kept was let go as asked.
	ConditionPreviousReleased = "PreviousReleased"
)

// Reasons of conditions of a VolumeRestore, beside those that it shares.
const (
	ReasonBackupNotFound      = "BackupNotFound"
	ReasonBackupIncomplete    = "BackupIncomplete"
	ReasonSnapshotNotFound    = "SnapshotNotFound"
	ReasonSnapshotNotReady    = "SnapshotNotReady"
	ReasonNoStorageClass      = "NoStorageClass"
	ReasonStorageMismatch     = "StorageClassMismatch"
	ReasonVolumeModeMismatch  = "VolumeModeMismatch"
	ReasonSizeTooSmall        = "SizeTooSmall"
	ReasonSizeUnknown         = "SizeUnknown"
	ReasonAutoscalerFights    = "AutoscalerFights"
	ReasonManagedByOther      = "ManagedByAnotherTool"
	ReasonStrategyImpossible  = "StrategyNotPossible"
	ReasonApplicationReplaced = "ApplicationReplaced"
	ReasonRolloutPaused       = "RolloutPaused"
	ReasonRevisionHeld        = "RevisionHeld"
	ReasonClaimExists         = "ClaimExists"
	ReasonClaimRefused        = "ClaimRefused"
	ReasonClaimInUse          = "ClaimInUse"
	ReasonClaimHeld           = "ClaimHeld"
	ReasonClaimNotMounted     = "ClaimNotMounted"
	ReasonChangeRefused       = "ChangeRefused"
	ReasonClaimsScaledAway    = "ClaimsDeletedByScaling"
	ReasonRestoreUnderWay     = "RestoreUnderWay"
	ReasonBackupUnderWay      = "BackupUnderWay"
	ReasonRepositoryNotReady  = "RepositoryNotReady"
	ReasonFinding             = "Finding"
	ReasonNotFoundThere       = "NotInRepository"
	ReasonFilling             = "Filling"
	ReasonFilled              = "Filled"
	ReasonFillFailed          = "FillFailed"

	// Reasons of events that warn.
	ReasonReadyTimeoutExtended = "ReadyTimeoutExtended"
	ReasonClaimShared          = "ClaimShared"
	ReasonClaimShapeUnknown    = "ClaimShapeUnknown"
	ReasonOwnersNotRestored    = "OwnersNotRestored"

	ReasonNotProven         = "NotProven"
	ReasonAllProven         = "AllProven"
	ReasonScalingDown       = "ScalingDown"
	ReasonScaledUpAgain     = "ScaledUpAgain"
	ReasonPodsRemain        = "PodsRemain"
	ReasonPodsGone          = "PodsGone"
	ReasonSwapping          = "Swapping"
	ReasonSwapped           = "Swapped"
	ReasonScalingUp         = "ScalingUp"
	ReasonApplicationReady  = "ApplicationReady"
	ReasonRollingBack       = "RollingBack"
	ReasonRolledBack        = "RolledBack"
	ReasonRollBackAsked     = "RollBackAsked"
	ReasonRollBackFailed    = "RollBackFailed"
	ReasonNothingToRollBack = "NothingToRollBack"
	ReasonAlreadyRolledBack = "AlreadyRolledBack"
	ReasonPreviousGone      = "PreviousVolumeGone"
	ReasonSuperseded        = "Superseded"
	// ReasonVolumeNotOwned: a volume that the status names isn't the restore's to
	// change.
	ReasonVolumeNotOwned = "VolumeNotOwned"
	// ReasonAlreadyRestored: a restore of that name and spec was carried out before.
	ReasonAlreadyRestored = "AlreadyRestored"
	// ReasonTooManyKept: restores keep as many volumes in the namespace as they may.
	ReasonTooManyKept = "TooManyKept"
	ReasonReleased    = "Released"
)

// Reasons of the conditions of policies.
const (
	ReasonInvalidSchedule  = "InvalidSchedule"
	ReasonInvalidSelector  = "InvalidSelector"
	ReasonInvalidRetention = "InvalidRetention"
	ReasonScheduled        = "Scheduled"
	ReasonSuspended        = "Suspended"
	ReasonNoApplications   = "NoApplications"
	ReasonAllSucceeded     = "AllSucceeded"
	ReasonRunsFailed       = "RunsFailed"
	ReasonNoRunYet         = "NoRunYet"
	ReasonRetentionHeld    = "RetentionHeld"

	// ReasonMassDeletion is of an event alone.
	ReasonMassDeletion = "MassDeletion"

	// ReasonAmbiguousApplication is of a restore from a policy.
	ReasonAmbiguousApplication = "AmbiguousApplication"
)

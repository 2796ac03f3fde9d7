package cut

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Step is what a backup needs next.
type Step string

// The steps. A backup goes from attempt to attempt until one is good:
//
//	Attempt ──good──> AwaitReady ──> Export ──> End
//	   │  ^                                      ^
//	   │  └── not the last ──┐                   │
//	   └──not good──> (thawed) ─last─────────────┘
//	   │                └ never, Continue ──> AttemptUnquieted
//	   └──crashed───> Recover ──> (as not good)
const (
	// StepRecover: an attempt was begun and its end is not known.
	StepRecover Step = "Recover"
	// StepAttempt: quiet the application and cut.
	StepAttempt Step = "Attempt"
	// StepAttemptUnquieted: cut without quieting, where that is asked for.
	StepAttemptUnquieted Step = "AttemptUnquieted"
	// StepAwaitReady: all is cut, the application runs.
	StepAwaitReady Step = "AwaitReady"
	// StepExport: all can be restored, and is shipped where that is asked for.
	StepExport Step = "Export"
	// StepGiveUp: the attempts are used up.
	StepGiveUp Step = "GiveUp"
	// StepEnd: complete or failed.
	StepEnd Step = "End"
)

// unquietedAttempts is how often an application is cut as it runs, after it
// could not be quieted: what can fail then is the driver or the manager.
const unquietedAttempts = 3

// maxAttempts is how many attempts a backup can make: those of spec.attempts at
// its highest, and those without quiet.
const maxAttempts = 10 + unquietedAttempts

// Next is what a backup needs, by its status alone. onFailure is what the
// owner asked for, in the spec or by annotation.
func Next(b *v1alpha1.VolumeBackup, onFailure v1alpha1.OnFailure) Step {
	status := &b.Status
	switch {
	case Ended(b):
		return StepEnd
	case Open(status.Quiesce):
		return StepRecover
	case status.Consistency != "" && (IsWhole(b) || IsOnlyExported(b)):
		return StepExport
	case status.Consistency != "":
		return StepAwaitReady
	case status.Unthawed == nil && (status.Quiesce == nil || status.Quiesce.Attempt < b.Spec.Attempts):
		return StepAttempt
	case onFailure == v1alpha1.OnFailureContinue && status.Quiesce.Attempt < b.Spec.Attempts+unquietedAttempts:
		return StepAttemptUnquieted
	}
	return StepGiveUp
}

// Ended is true for a backup that is complete or has failed.
func Ended(b *v1alpha1.VolumeBackup) bool {
	return meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionComplete) ||
		meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionFailed)
}

// IsWhole is true for a backup whose snapshots can all be restored, though it isn't
// complete: its export goes on, or has failed.
func IsWhole(b *v1alpha1.VolumeBackup) bool {
	return b.Spec.Export != nil && meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionSnapshotsReady)
}

// IsOnlyExported is true for a backup whose snapshots go, or have gone, since its
// owner wants it in the repository alone. All of its volumes are there.
func IsOnlyExported(b *v1alpha1.VolumeBackup) bool {
	ready := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionSnapshotsReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonOnlyExported
}

// Open is true for an attempt whose end is not written: what it froze may be
// frozen still, and is to be thawed first.
func Open(q *v1alpha1.QuiesceStatus) bool {
	if q == nil {
		return false
	}
	if Freezes(q.Method) {
		return q.ThawedAt == nil && q.ThawGivenUpAt == nil
	}
	return q.CutAt == nil && q.Failure == ""
}

// Freezes is true for the methods that quiet running pods.
func Freezes(m v1alpha1.QuiesceMethod) bool {
	return m == v1alpha1.MethodHold || m == v1alpha1.MethodHooks
}

// NextAttemptAt is when the next attempt may start after one that failed.
func NextAttemptAt(q *v1alpha1.QuiesceStatus) time.Time {
	return EndOf(q).Add(AttemptDelay(q.Attempt))
}

// EndOf is when an attempt thawed its application, or was begun where it did not.
func EndOf(q *v1alpha1.QuiesceStatus) time.Time {
	if q.ThawedAt != nil {
		return q.ThawedAt.Time
	}
	return q.StartedAt.Time
}

// HeldUntil is until when an attempt held an application, zero where it isn't known
// to have.
func HeldUntil(q *v1alpha1.QuiesceStatus) time.Time {
	if q == nil || !Freezes(q.Method) || q.ThawedAt == nil || q.FrozenAt == nil && q.FrozenFor == nil {
		return time.Time{}
	}
	return q.ThawedAt.Time
}

// Names is true for a snapshot that the status of a backup names: what it doesn't
// name is of an attempt that proves nothing.
func Names(b *v1alpha1.VolumeBackup, snap string) bool {
	return slices.ContainsFunc(b.Status.Volumes, func(v v1alpha1.VolumeStatus) bool { return v.SnapshotName == snap })
}

// KeptGroup is the group that a backup's volumes are cut in, empty where there
// is none that is worth keeping.
func KeptGroup(b *v1alpha1.VolumeBackup) string {
	if q := b.Status.Quiesce; q != nil && q.Failure == "" {
		return q.GroupSnapshotName
	}
	return ""
}

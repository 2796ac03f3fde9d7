package policy

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// IsComplete is true for a backup that ended well.
func IsComplete(b *v1alpha1.VolumeBackup) bool {
	return meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionComplete)
}

// isRestorable is true for a backup that ended well and has its snapshots still, or
// is in a repository by its owner's wish.
func isRestorable(b *v1alpha1.VolumeBackup) bool { return IsComplete(b) && !b.HasLostSnapshots() }

// HasFailed is true for a backup that ended badly.
func HasFailed(b *v1alpha1.VolumeBackup) bool {
	return meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionFailed)
}

// ApplicationOf is what a backup is of.
func ApplicationOf(b *v1alpha1.VolumeBackup) Application {
	ref := b.Spec.ApplicationRef
	ref.Kind = cmp.Or(ref.Kind, v1alpha1.KindDeployment)
	return Application{Namespace: b.Namespace, Ref: ref}
}

// Results is what is told of one application by its backups.
type Results struct {
	// Last is its newest backup, nil where it has none.
	Last *v1alpha1.VolumeBackup
	// Running is the newest that goes on, and Ended the newest that has ended.
	Running, Ended *v1alpha1.VolumeBackup
	// Complete is the newest that is complete.
	Complete *v1alpha1.VolumeBackup
	// Scheduled is the newest that was due by a schedule.
	Scheduled *v1alpha1.VolumeBackup
}

// ResultsOf are those of each application that has backups. One of a due time that
// is still to come, by a clock that was ahead, is as old as can be.
func ResultsOf(backups []*v1alpha1.VolumeBackup, now time.Time) map[Application]Results {
	all := map[Application]Results{}
	for _, b := range newestLast(backups, now) {
		app := ApplicationOf(b)
		r := all[app]
		r.Last = b
		if b.Annotations[v1alpha1.AnnotationScheduledAt] != "" {
			r.Scheduled = b
		}
		switch {
		case IsComplete(b):
			r.Complete, r.Ended = b, b
		case HasFailed(b):
			r.Ended = b
		default:
			r.Running = b
		}
		all[app] = r
	}
	return all
}

// newestLast are backups by their due times, after those that are still to come.
func newestLast(backups []*v1alpha1.VolumeBackup, now time.Time) []*v1alpha1.VolumeBackup {
	due := make(map[*v1alpha1.VolumeBackup]time.Time, len(backups)) // it is read from a text
	for _, b := range backups {
		if due[b] = DueTime(b); due[b].After(now) {
			due[b] = time.Time{}
		}
	}
	return slices.SortedStableFunc(slices.Values(backups), func(a, b *v1alpha1.VolumeBackup) int { return due[a].Compare(due[b]) })
}

// Succeeded is when the newest complete backup was so, zero where there is none.
func (r Results) Succeeded() time.Time {
	if r.Complete == nil || r.Complete.Status.CompletionTime == nil {
		return time.Time{}
	}
	return r.Complete.Status.CompletionTime.Time
}

// Failure is why the newest backup that has ended gave nothing, empty where it
// did, or none has ended.
func (r Results) Failure() string {
	if r.Ended == nil || IsComplete(r.Ended) {
		return ""
	}
	return "VolumeBackup " + r.Ended.Name + " failed: " + r.Ended.Status.Message
}

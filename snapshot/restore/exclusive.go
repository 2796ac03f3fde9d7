package restore

import (
	"fmt"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

// WaitsFor says which other restore of the application goes first, empty where
// none does. One restore of an application works at a time: who is at work
// already, else the oldest. of is the application of a restore that hasn't
// written it down yet, nil where that isn't known.
func WaitsFor(mine *v1alpha1.VolumeRestore, application v1alpha1.ApplicationReference, all []v1alpha1.VolumeRestore, of func(*v1alpha1.VolumeRestore) *v1alpha1.ApplicationReference) string {
	for i := range all {
		other := &all[i]
		if other.UID == mine.UID || !goesFirst(other, mine) {
			continue
		}
		if its := of(other); its != nil && *its == application {
			return fmt.Sprintf("waits for VolumeRestore %s of the same application", other.Name)
		}
	}
	return ""
}

// goesFirst is true for a restore that is at work, or that wants to be and is
// older.
func goesFirst(other, mine *v1alpha1.VolumeRestore) bool {
	if v1alpha1.PutBackBy(other, other.Status.StartTime) != "" { // it is left alone
		return false
	}
	if other.Spec.Target.Strategy == v1alpha1.StrategyClaimsOnly || other.Status.Strategy == v1alpha1.StrategyClaimsOnly {
		return false
	}
	wants := IsRollBackAsked(other)
	if Ended(other) && !wants {
		return false
	}
	if isWorking := !wants && other.Status.Strategy != ""; isWorking {
		return true
	}
	a, b := other.CreationTimestamp, mine.CreationTimestamp
	return a.Before(&b) || a.Equal(&b) && other.Name < mine.Name
}

// QuietedBy is the backup that has an application quieted, empty where none has.
func QuietedBy(application v1alpha1.ApplicationReference, backups []v1alpha1.VolumeBackup) string {
	for i := range backups {
		b := &backups[i]
		if b.Spec.ApplicationRef == application && !cut.Ended(b) && cut.Open(b.Status.Quiesce) {
			return b.Name
		}
	}
	return ""
}

// StoppedBy is the restore that has an application stopped, empty where none
// has.
func StoppedBy(application v1alpha1.ApplicationReference, restores []v1alpha1.VolumeRestore) string {
	for i := range restores {
		if r := &restores[i]; v1alpha1.PutBackBy(r, r.Status.StartTime) == "" && r.Status.ScaledDownAt != nil && !Ended(r) && IsOf(r, application) {
			return r.Name
		}
	}
	return ""
}

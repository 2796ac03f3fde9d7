package policy

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
	"github.com/lull-dev/lull/snapshot/names"
)

// Deletion is that of a backup which others have deleted: a person, a script,
// whatever isn't retention.
type Deletion struct {
	// At is when it was seen to begin.
	At time.Time
	// Backup as it was seen then.
	Backup *v1alpha1.VolumeBackup
}

// Limits of what others may delete of a policy before it is a mass deletion.
const (
	massCount  = 20
	massWindow = time.Minute
)

// MassDeletion are the deletions from the first on that has nineteen others
// within a minute after it, none where there is no such. They are in order.
func MassDeletion(deleted []Deletion) []Deletion {
	for ; len(deleted) >= massCount; deleted = deleted[1:] {
		if deleted[massCount-1].At.Sub(deleted[0].At) <= massWindow {
			return deleted
		}
	}
	return nil
}

// GoesOnFor is how long a mass deletion goes on if nothing more is deleted: a
// minute after the last. It is 0 for one that is over, and for none.
func GoesOnFor(deleted []Deletion, now time.Time) time.Duration {
	if len(deleted) == 0 {
		return 0
	}
	return max(0, massWindow-now.Sub(deleted[len(deleted)-1].At))
}

// Current are the deletions that still matter, of those in order: a mass deletion
// that goes on, or what may become one.
func Current(deleted []Deletion, now time.Time) []Deletion {
	if GoesOnFor(deleted, now) == 0 {
		return nil
	}
	if mass := MassDeletion(deleted); mass != nil {
		return mass
	}
	for now.Sub(deleted[0].At) > massWindow {
		deleted = deleted[1:]
	}
	return deleted
}

// NoteMassDeletion notes what others have deleted, by a mass deletion or none. It
// is true for one that wasn't known. A person's word ends what it says, by the
// moment at which the deletion began: the rest of it is released with it, and the
// next one isn't.
//
// What is noted is written when it begins and when it is over, and not with each
// deletion.
func (s *State) NoteMassDeletion(mass []Deletion, released string) (isNew bool) {
	if known := s.Status.MassDeletion; known != nil && ReleaseOf(known) == released {
		s.Status.MassDeletion = nil
	}
	if len(mass) == 0 {
		return false
	}
	noted := &v1alpha1.MassDeletionStatus{
		Since: beginOf(mass),
		Count: int32(len(mass)), //nolint:gosec // they are backups of one policy
	}
	if ReleaseOf(noted) == released {
		return false
	}
	isNew = !s.IsNoted(mass)
	if !isNew && GoesOnFor(mass, s.Now) > 0 {
		return false
	}
	for _, d := range mass[:min(len(mass), limits.Names)] {
		noted.Backups = append(noted.Backups, s.Qualified(d.Backup.Namespace, d.Backup.Name))
	}
	s.Status.MassDeletion = noted
	return isNew
}

// IsNoted is true for a mass deletion that was noted before.
func (s *State) IsNoted(mass []Deletion) bool {
	begin := beginOf(mass)
	return s.Status.MassDeletion != nil && s.Status.MassDeletion.Since.Equal(&begin)
}

// beginOf is in whole seconds, as the API has it.
func beginOf(mass []Deletion) metav1.Time { return metav1.NewTime(mass[0].At.Truncate(time.Second)) }

// ReleaseOf is what a person writes to have retention go on after a mass deletion.
func ReleaseOf(mass *v1alpha1.MassDeletionStatus) string {
	return mass.Since.UTC().Format(time.RFC3339)
}

// ApplicationsOf are those whose backups were deleted, as people know them.
func (s *State) ApplicationsOf(deleted []Deletion) []string {
	var all []string
	for _, d := range deleted {
		all = append(all, s.Called(ApplicationOf(d.Backup)))
	}
	return names.Set(all)
}

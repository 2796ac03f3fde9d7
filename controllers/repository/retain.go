package repository

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// One task of retention has no room for thousands of histories, so they are dealt with
// in their order, some in each task. How far that is stands in the status: it is what
// the mover says that it was given, which a list of now needn't agree with.

// retained notes that retention has dealt with some histories, or, where another try
// mends nothing, that it is left as it is until the next look. Only what can't be
// asked for is passed over: of anything else the next histories would die too.
func retained(s *v1alpha1.ResticRepositoryStatus, result resticexport.Result, at metav1.Time) {
	dealtWith := result.Forget
	if dealtWith == nil || dealtWith.Through == "" || !result.Done && result.Cause != resticexport.CauseInvalid {
		s.LastRetentionTime, s.Retention = &at, nil
		return
	}
	if s.Retention == nil {
		s.Retention = &v1alpha1.RetentionProgress{Since: at}
	}
	s.Retention.Through = dealtWith.Through
	s.Retention.Histories += int32(dealtWith.Histories)
}

// hasPassedOver is true of what is told of retention under way which has passed over a
// history. It stays told where the next task is done.
func hasPassedOver(s *v1alpha1.ResticRepositoryStatus, failed *v1alpha1.FailedTask) bool {
	return failed.Task == taskRetain && s.Retention != nil && failed.Attempts == 0
}

// remaining are the histories that retention hasn't dealt with. Where it is through
// with all it has come to its end, as of when its first task ended: what was exported
// since then comes the next time.
func remaining(s *v1alpha1.ResticRepositoryStatus, all []resticexport.History) []resticexport.History {
	if s.Retention == nil {
		return all
	}
	left := slices.DeleteFunc(all, func(h resticexport.History) bool { return h.Key() <= s.Retention.Through })
	if len(left) == 0 {
		s.LastRetentionTime, s.Retention = &s.Retention.Since, nil
	}
	return left
}

// titleOf is what a task is called that is told of, with how far retention is where it
// takes several.
func titleOf(s *v1alpha1.ResticRepositoryStatus, name string, task *resticexport.Task, left int) string {
	if task.Retain == nil || s.Retention == nil && len(task.Retain.Histories) == left {
		return name
	}
	before := 0
	if s.Retention != nil {
		before = int(s.Retention.Histories)
	}
	return fmt.Sprintf("%s of %d to %d of %d histories", name, before+1, before+len(task.Retain.Histories), before+left)
}

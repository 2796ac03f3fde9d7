package repository

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Each task has its own failure, with its own next try: that of one says nothing of
// another.

// failureOf is that of a task, nil where it came to its end.
func failureOf(s *v1alpha1.ResticRepositoryStatus, task string) *v1alpha1.FailedTask {
	if i := slices.IndexFunc(s.FailedTasks, func(f v1alpha1.FailedTask) bool { return f.Task == task }); i >= 0 {
		return &s.FailedTasks[i]
	}
	return nil
}

func setFailure(s *v1alpha1.ResticRepositoryStatus, failed v1alpha1.FailedTask) {
	if before := failureOf(s, failed.Task); before != nil {
		*before = failed
		return
	}
	s.FailedTasks = append(s.FailedTasks, failed)
}

func dropFailure(s *v1alpha1.ResticRepositoryStatus, task string) {
	s.FailedTasks = slices.DeleteFunc(s.FailedTasks, func(f v1alpha1.FailedTask) bool { return f.Task == task })
}

// dropUnscheduled drops the failures of tasks that nobody asks for any more.
func dropUnscheduled(r *v1alpha1.ResticRepository) {
	if r.Spec.Maintenance.Check == nil {
		dropFailure(&r.Status, taskCheck)
	}
	if r.Spec.Maintenance.Prune == nil {
		dropFailure(&r.Status, taskPrune)
	}
}

// attemptOf tells the Job of one attempt of a task from that of the next. It says
// nothing of the other tasks: what they come to under way doesn't make it another.
func attemptOf(s *v1alpha1.ResticRepositoryStatus, task string) string {
	last := map[string]*metav1.Time{taskRetain: s.LastRetentionTime, taskCheck: s.LastCheckTime, taskPrune: s.LastPruneTime}[task]
	failed := ptr.Deref(failureOf(s, task), v1alpha1.FailedTask{})
	through := ""
	if task == taskRetain && s.Retention != nil {
		through = s.Retention.Through
	}
	return fmt.Sprint(task, stamp(last), failed.Attempts, failed.IsLocked, through)
}

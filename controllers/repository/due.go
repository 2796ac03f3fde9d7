package repository

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/schedule"
)

// The tasks of maintenance, in the order of their turns.
const (
	taskRetain = "retain"
	taskCheck  = "check"
	taskPrune  = "prune"
)

// nextTask is what of a repository's maintenance is to be done now, or, where that
// is nothing, when something is to be, the zero time where that isn't known.
// histories are what retention has news of. The error says what is wrong with a
// schedule.
func nextTask(r *v1alpha1.ResticRepository, histories []resticexport.History, now time.Time) (name string, task *resticexport.Task, at time.Time, err error) {
	dues, err := duesOf(r, histories, now)
	if err != nil {
		return "", nil, time.Time{}, err
	}
	for _, d := range dues {
		due := d.at
		if failed := failureOf(&r.Status, d.name); failed != nil {
			due = latest(due, resticexport.NextAttempt(failed.LastAttemptTime, failed.Attempts, now))
			if failed.IsLocked {
				d.task = &resticexport.Task{Unlock: &resticexport.Unlock{}}
			}
		}
		if !due.After(now) {
			return d.name, d.task, due, nil
		}
		if at.IsZero() || due.Before(at) {
			at = due
		}
	}
	return "", nil, at, nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

type due struct {
	name string
	task *resticexport.Task
	at   time.Time
}

func duesOf(r *v1alpha1.ResticRepository, histories []resticexport.History, now time.Time) (all []due, err error) {
	if len(histories) > 0 {
		all = append(all, due{taskRetain, &resticexport.Task{Retain: resticexport.RetainFirst(histories)}, now})
	}
	if check := r.Spec.Maintenance.Check; check != nil {
		at, err := nextBy(r, check.Schedule, r.Status.LastCheckTime, now)
		if err != nil {
			return nil, fmt.Errorf("spec.maintenance.check.schedule: %w", err)
		}
		part, of := nextPart(check.ReadData, r.Status.CheckedPart)
		all = append(all, due{taskCheck, &resticexport.Task{Check: &resticexport.Check{Part: part, Of: of}}, at})
	}
	if prune := r.Spec.Maintenance.Prune; prune != nil && r.Status.Vanished == nil && !meta.IsStatusConditionFalse(r.Status.Conditions, v1alpha1.ConditionHealthy) {
		at, err := nextBy(r, prune.Schedule, r.Status.LastPruneTime, now)
		if err != nil {
			return nil, fmt.Errorf("spec.maintenance.prune.schedule: %w", err)
		}
		expected := ptr.Deref(r.Status.ExpectedSnapshots, 0)
		all = append(all, due{taskPrune, &resticexport.Task{Prune: &resticexport.Prune{Expected: expected}}, at})
	}
	return all, nil
}

// nextBy is when a task is due after the last time, or after the repository's
// making. A last time in the future, by a clock that was wrong, was now.
func nextBy(r *v1alpha1.ResticRepository, expression v1alpha1.MaintenanceSchedule, last *metav1.Time, now time.Time) (time.Time, error) {
	by, err := schedule.Parse(string(expression), "", r.CreationTimestamp.Time)
	if err != nil {
		return time.Time{}, err
	}
	since := cmp.Or(last, &r.CreationTimestamp).Time
	if since.After(now) {
		since = now
	}
	return by.Next(since), nil
}

// nextPart is the part of the data that is read next, of how many.
func nextPart(readData string, last int32) (part, of int32) {
	percent, err := strconv.Atoi(strings.TrimSuffix(readData, "%"))
	if err != nil || percent <= 0 {
		return 0, 0
	}
	of = int32(100+percent-1) / int32(percent)
	return last%of + 1, of
}

// recordTask writes what a task came to. told is what a person should know, empty
// where all is well.
func recordTask(r *v1alpha1.ResticRepository, name string, task *resticexport.Task, result resticexport.Result, now time.Time) (told string) {
	s, at := &r.Status, metav1.NewTime(now)
	failed := ptr.Deref(failureOf(s, name), v1alpha1.FailedTask{Task: name})
	if task.Unlock != nil && result.Done {
		failed.IsLocked, failed.LastAttemptTime = false, nil // what was locked is tried at once
		setFailure(s, failed)
		return ""
	}
	if task.Retain != nil {
		forgot(s, result)
	}
	if result.Cause == resticexport.CauseVanished {
		s.LastFailureTime = &at // a look tells of it
	}
	isDamaged := task.Check != nil && result.Cause == resticexport.CauseDamaged
	switch {
	case result.Done || isDamaged:
		if !hasPassedOver(s, &failed) {
			dropFailure(s, name)
		}
		recordDone(s, task, result, at)
		if isDamaged {
			return "the repository is damaged: " + result.Message
		}
		return ""
	case result.Cause.Again():
		failed.Attempts++
		failed.LastAttemptTime, failed.IsLocked = &at, result.Cause == resticexport.CauseLocked
	default:
		failed.Attempts, failed.LastAttemptTime = 0, nil
		recordDone(s, task, result, at)
	}
	failed.Message = fmt.Sprintf("%s: %s", result.Cause, result.Message)
	setFailure(s, failed)
	return fmt.Sprintf("%s could not be done: %s", name, failed.Message)
}

func recordDone(s *v1alpha1.ResticRepositoryStatus, task *resticexport.Task, result resticexport.Result, at metav1.Time) {
	switch {
	case task.Retain != nil:
		retained(s, result, at)
	case task.Check != nil:
		s.LastCheckTime, s.CheckedPart = &at, task.Check.Part
	case task.Prune != nil:
		s.LastPruneTime = &at
	}
}

// exportPolicy is what a policy says of its exports.
type exportPolicy struct {
	name, timeZone string
	rules          v1alpha1.RetentionRules
}

// historiesOf are those of the policies that have exported something since, by the
// backups of a namespace, in the order of their keys. What people keep, the newest proven of each application,
// backups that aren't done yet, and those that are there and have nothing but their
// exports, stay whatever the rules say.
func historiesOf(repository string, policies []exportPolicy, backups []v1alpha1.VolumeBackup, since *metav1.Time) (all []resticexport.History) {
	for _, p := range policies {
		of := map[string]*news{}
		for i := range backups {
			b := &backups[i]
			if !isOfPolicy(b, p.name, repository) {
				continue
			}
			host := resticexport.Host(b.Namespace, b.Spec.ApplicationRef)
			if of[host] == nil {
				of[host] = &news{History: resticexport.History{Host: host, Policy: p.name, Rules: p.rules, TimeZone: p.timeZone}}
			}
			of[host].add(b, since)
		}
		for _, n := range of {
			if n.isNews {
				all = append(all, n.history())
			}
		}
	}
	slices.SortFunc(all, func(a, b resticexport.History) int { return cmp.Compare(a.Key(), b.Key()) })
	return all
}

// news is a history that is gathered. isNews: something was exported since.
type news struct {
	resticexport.History
	isNews bool
	proven *v1alpha1.VolumeBackup
}

func (n *news) add(b *v1alpha1.VolumeBackup, since *metav1.Time) {
	if b.Annotations[v1alpha1.AnnotationKeep] == "true" || cut.IsOnlyExported(b) || !cut.Ended(b) {
		n.Held = append(n.Held, b.UID)
	}
	if !isExported(b) {
		return
	}
	n.isNews = n.isNews || since == nil || b.Status.CompletionTime.After(since.Time)
	if b.Status.Consistency == v1alpha1.Proven && (n.proven == nil || b.Status.CompletionTime.After(n.proven.Status.CompletionTime.Time)) {
		n.proven = b
	}
}

func (n *news) history() resticexport.History {
	if n.proven != nil {
		n.Held = append(n.Held, n.proven.UID)
	}
	n.Held = unique(n.Held)
	return n.History
}

func unique(uids []types.UID) []types.UID {
	slices.Sort(uids)
	return slices.Compact(uids)
}

// isOfPolicy is true for a backup of a policy that goes into a repository.
func isOfPolicy(b *v1alpha1.VolumeBackup, policy, repository string) bool {
	return b.Labels[v1alpha1.LabelPolicy] == policy && b.Spec.Export != nil && b.Spec.Export.RepositoryRef.Name == repository
}

// isExported is true for a backup that is complete, exports among it.
func isExported(b *v1alpha1.VolumeBackup) bool {
	return b.Status.CompletionTime != nil && meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionComplete)
}

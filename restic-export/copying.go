package resticexport

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// CopiesOf are the copies that a repository is to have, with what is known of each.
func CopiesOf(r *v1alpha1.ResticRepository) (all []v1alpha1.CopyStatus) {
	for _, to := range r.Spec.CopyTo {
		c := v1alpha1.CopyStatus{Name: to.RepositoryRef.Name}
		if i := slices.IndexFunc(r.Status.Copies, func(known v1alpha1.CopyStatus) bool { return known.Name == c.Name }); i >= 0 {
			c = r.Status.Copies[i]
		}
		all = append(all, c)
	}
	return all
}

// IsCopied is true where all exports that the last look has seen have a copy.
func IsCopied(from, into *v1alpha1.ResticRepository, c *v1alpha1.CopyStatus) bool {
	hash := exportsHash(from)
	return hash == "" || hash == c.ExportsHash && into.Status.RepositoryID == c.RepositoryID
}

func exportsHash(r *v1alpha1.ResticRepository) string {
	if r.Status.Contents == nil {
		return ""
	}
	return r.Status.Contents.ExportsHash
}

// CopyDue says whether exports are to be copied now, and, where that is known, when
// else. What was copied is compared with what a later look sees, and what no other
// try mends is tried again after that look.
func CopyDue(from, into *v1alpha1.ResticRepository, c *v1alpha1.CopyStatus, now time.Time) (isDue bool, at time.Time) {
	switch {
	case IsCopied(from, into, c):
		return false, time.Time{}
	case c.Attempts > 0:
		at = NextAttempt(c.LastAttemptTime, c.Attempts, now)
		return !at.After(now), at
	case c.LastAttemptTime != nil:
		return !isBefore(from.Status.LastLookTime, c.LastAttemptTime) || !isBefore(into.Status.LastLookTime, c.LastAttemptTime), time.Time{}
	}
	return true, time.Time{}
}

// isBefore is true of a time that isn't after another.
func isBefore(t, other *metav1.Time) bool { return t == nil || !t.After(other.Time) }

// CopySnapshotsJob is the Job of the next attempt to copy the exports of one repository into
// another.
func CopySnapshotsJob(from, into *v1alpha1.ResticRepository, c *v1alpha1.CopyStatus) JobInput {
	task := CopySnapshots{Unlock: c.IsLocked}
	if limit := into.Spec.Mover.UploadLimit; limit != nil {
		task.UploadLimit = limit.Value()
	}
	last := ""
	if c.LastAttemptTime != nil {
		last = c.LastAttemptTime.UTC().Format(time.RFC3339)
	}
	return JobInput{
		Name:      JobName("copy-to", into.Name, string(from.UID), string(into.UID), last),
		Namespace: from.Namespace, Repository: into.Name, Spec: &into.Spec, From: from,
		Task: Task{CopySnapshots: &task},
	}
}

// RecordCopy writes what an attempt to copy came to.
func RecordCopy(c *v1alpha1.CopyStatus, into *v1alpha1.ResticRepository, result Result, now time.Time) {
	at := metav1.NewTime(now)
	c.LastAttemptTime, c.IsLocked = &at, result.Cause == CauseLocked
	switch {
	case result.Done && result.Copy != nil:
		c.CopiedAt, c.Snapshots, c.ExportsHash = &at, int32(result.Copy.Snapshots), result.Copy.ExportsHash
		c.RepositoryID, c.Attempts = into.Status.RepositoryID, 0
		c.Reason, c.Message = v1alpha1.ReasonCopied, ""
		return
	case result.Cause.Again():
		c.Attempts++
	default:
		c.Attempts = 0
	}
	c.Reason, c.Message = v1alpha1.ReasonCopyFailed, fmt.Sprintf("%s: %s", result.Cause, result.Message)
}

// Copied is the condition of a repository that its copies come to: that of the first
// that isn't as it should be.
func Copied(copies []v1alpha1.CopyStatus) (isCopied bool, reason, message string) {
	var names []string
	for i := range copies {
		c := &copies[i]
		if c.Reason != v1alpha1.ReasonCopied {
			return false, c.Reason, fmt.Sprintf("to %s: %s", c.Name, c.Message)
		}
		names = append(names, c.Name)
	}
	return true, v1alpha1.ReasonCopied, "all exports have a copy in " + strings.Join(names, ", ")
}

// MadeLike is the repository that a new one is made like, so that both divide files
// alike: one whose exports are copied into it. It is nil where there is none, and
// waits says so where there will be. Of a ring that is all new the first by its name
// is made by itself.
func MadeLike(r *v1alpha1.ResticRepository, all []v1alpha1.ResticRepository) (like *v1alpha1.ResticRepository, waits string) {
	sources := sourcesOf(r, all)
	for _, s := range sources {
		if meta.IsStatusConditionTrue(s.Status.Conditions, v1alpha1.ConditionReady) {
			return s, ""
		}
	}
	for _, s := range sources {
		if s.Status.RepositoryID == "" && isFirstOfRing(r, s, all) {
			continue
		}
		return nil, fmt.Sprintf("it is made once repository %s is ready, which is copied to it, so that both divide files alike and share their data. Take it out of spec.copyTo of %s to have it made by itself", s.Name, s.Name)
	}
	return nil, ""
}

// IsCopyOf is true where one repository is to have a copy of what is exported into
// the other.
func IsCopyOf(r, source *v1alpha1.ResticRepository) bool {
	return slices.ContainsFunc(source.Spec.CopyTo, func(c v1alpha1.RepositoryCopy) bool { return c.RepositoryRef.Name == r.Name })
}

// sourcesOf are the repositories whose exports are copied into one, by name. What
// can't be copied doesn't count.
func sourcesOf(r *v1alpha1.ResticRepository, all []v1alpha1.ResticRepository) (sources []*v1alpha1.ResticRepository) {
	for i := range all {
		s := &all[i]
		if IsCopyOf(r, s) && s.DeletionTimestamp.IsZero() && Conflict(r, s) == "" {
			sources = append(sources, s)
		}
	}
	slices.SortFunc(sources, func(a, b *v1alpha1.ResticRepository) int { return cmp.Compare(a.Name, b.Name) })
	return sources
}

// isFirstOfRing is true where a source waits for the repository itself, and of those
// that wait for each other none is made, and none has a name before its.
func isFirstOfRing(r, source *v1alpha1.ResticRepository, all []v1alpha1.ResticRepository) bool {
	for i := range all {
		other := &all[i]
		isBefore := other.Name < r.Name || other.Status.RepositoryID != ""
		if isBefore && reaches(r, other, all, nil) && reaches(other, r, all, nil) {
			return false
		}
	}
	return reaches(r, source, all, nil)
}

// reaches is true where copies, and copies from there, and so on, lead from one
// repository to another. seen are those that were looked at.
func reaches(from, to *v1alpha1.ResticRepository, all []v1alpha1.ResticRepository, seen []string) bool {
	for i := range all {
		next := &all[i]
		isSource := func(s *v1alpha1.ResticRepository) bool { return s.Name == from.Name }
		if slices.Contains(seen, next.Name) || !slices.ContainsFunc(sourcesOf(next, all), isSource) {
			continue
		}
		seen = append(seen, next.Name)
		if next.Name == to.Name || reaches(next, to, all, seen) {
			return true
		}
	}
	return false
}

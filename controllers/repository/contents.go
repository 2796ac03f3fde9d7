package repository

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// recordContents writes what a look saw of a repository's contents. Where far fewer
// snapshots are there than were left there, fewer than half, that is noted until
// they are back or a person accepts it. It is true where that is news.
func recordContents(s *v1alpha1.ResticRepositoryStatus, seen *resticexport.OpenedRepository, now metav1.Time) (vanished bool) {
	expected, there := s.ExpectedSnapshots, int32(seen.Snapshots)
	s.Snapshots, s.ExpectedSnapshots = there, &there
	s.Contents = &v1alpha1.RepositoryContents{
		Hosts: seen.Hosts, HostCount: int32(seen.HostCount), Paths: seen.Paths, PathCount: int32(seen.PathCount),
		ExportsHash: seen.ExportsHash,
	}
	if seen.Newest != nil {
		newest := metav1.NewTime(*seen.Newest)
		s.Contents.NewestTime = &newest
	}
	switch {
	case s.Vanished != nil && 2*there >= s.Vanished.Before:
		s.Vanished = nil
	case s.Vanished == nil && expected != nil && 2*there < *expected:
		s.Vanished = &v1alpha1.VanishedSnapshots{Before: *expected, Since: now}
		return true
	}
	return false
}

// forgot has the next look expect the snapshots that a task has left: all, where it was
// refused.
func forgot(s *v1alpha1.ResticRepositoryStatus, result resticexport.Result) {
	switch {
	case result.Cause == resticexport.CauseInvalid:
		return
	case !result.Done || result.Forget == nil:
		s.ExpectedSnapshots = nil
		return
	}
	s.Snapshots = max(0, s.Snapshots-int32(result.Forget.Forgotten))
	left := s.Snapshots
	s.ExpectedSnapshots = &left
}

// accept takes a person's word that the snapshots that are there are all that there
// should be, and tells where there are too few. What a check has found stays.
func (w *run) accept(context.Context) reconcile.Outcome {
	r := w.Object
	if w.isAccepted() {
		r.Status.Vanished = nil
	}
	healthy := w.Find(v1alpha1.ConditionHealthy)
	switch {
	case r.Status.Vanished != nil && (healthy == nil || healthy.Reason != v1alpha1.ReasonDamaged):
		w.Set(v1alpha1.ConditionHealthy, false, v1alpha1.ReasonSnapshotsVanished, "%s", whatVanished(r))
	case r.Status.Vanished == nil && healthy != nil && healthy.Reason == v1alpha1.ReasonSnapshotsVanished:
		w.Set(v1alpha1.ConditionHealthy, true, v1alpha1.ReasonAccepted, "the snapshots are back, or somebody has accepted that they are gone")
	}
	return reconcile.Skip()
}

// isAccepted is true for the word of a person about this loss: one about another,
// long ago, says nothing of it.
func (w *run) isAccepted() bool {
	v := w.Object.Status.Vanished
	return v != nil && w.Object.Annotations[v1alpha1.AnnotationAcceptSnapshots] == stamp(&v.Since)
}

func whatVanished(r *v1alpha1.ResticRepository) string {
	v := r.Status.Vanished
	return fmt.Sprintf("%d snapshots were there, and %d are now: somebody has forgotten them, or it is another state of the repository. Nothing is pruned, so that they may be recovered (restic recover). If it is as it should be: kubectl annotate rr -n %s %s %s=%s --overwrite",
		v.Before, r.Status.Snapshots, r.Namespace, r.Name, v1alpha1.AnnotationAcceptSnapshots, stamp(&v.Since))
}

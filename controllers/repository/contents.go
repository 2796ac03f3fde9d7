package repository

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// recordContents writes what a look saw of a repository's contents. vanished is
// what a person should know where far fewer snapshots are there than before: fewer
// than half, without those that were forgotten by Lull. It is empty where all is
// well.
func recordContents(s *v1alpha1.ResticRepositoryStatus, seen *resticexport.OpenedRepository) (vanished string) {
	before, now := s.Snapshots, int32(seen.Snapshots)
	s.Snapshots = now
	s.Contents = &v1alpha1.RepositoryContents{
		Hosts: seen.Hosts, HostCount: int32(seen.HostCount), Paths: seen.Paths, PathCount: int32(seen.PathCount),
	}
	if seen.Newest != nil {
		newest := metav1.NewTime(*seen.Newest)
		s.Contents.NewestTime = &newest
	}
	if 2*now >= before {
		return ""
	}
	return fmt.Sprintf("%d snapshots were there at the last look, and %d are now", before, now)
}

// forgot has the next look expect the snapshots that a task has left. Where it
// isn't known how many it has forgotten any number is.
func forgot(s *v1alpha1.ResticRepositoryStatus, result resticexport.Result) {
	if !result.Done || result.Forget == nil {
		s.Snapshots = 0
		return
	}
	s.Snapshots = max(0, s.Snapshots-int32(result.Forget.Forgotten))
}

func (w *run) howToAccept(vanished string) string {
	r := w.Object
	return fmt.Sprintf("%s: somebody has forgotten them, or it is another state of the repository. Nothing is pruned, so that they may be recovered (restic recover). If it is as it should be: kubectl annotate rr -n %s %s %s=%d --overwrite",
		vanished, r.Namespace, r.Name, v1alpha1.AnnotationAcceptSnapshots, r.Status.Snapshots)
}

// accept takes a person's word that the snapshots that are there are all that there
// should be.
func (w *run) accept(context.Context) reconcile.Outcome {
	r := w.Object
	if w.hasVanished() && r.Annotations[v1alpha1.AnnotationAcceptSnapshots] == fmt.Sprint(r.Status.Snapshots) {
		w.Set(v1alpha1.ConditionHealthy, true, v1alpha1.ReasonAccepted, "%d snapshots are there, as somebody has accepted", r.Status.Snapshots)
	}
	return reconcile.Skip()
}

func (w *run) hasVanished() bool {
	healthy := w.Find(v1alpha1.ConditionHealthy)
	return healthy != nil && healthy.Reason == v1alpha1.ReasonSnapshotsVanished
}

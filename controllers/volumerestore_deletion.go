package controllers

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// delete lets a restore go once it is at its end; until then it is undone
// first. What it keeps stays kept. ended is false while there is more to do.
func (r *VolumeRestoreReconciler) delete(ctx context.Context, s *restoreScope) (out outcome, ended bool) {
	if !controllerutil.ContainsFinalizer(s.VolumeRestore, v1alpha1.FinalizerVolumeRestore) {
		return rest(), true
	}
	if s.Status.Strategy == "" || snapshot.RestoreEnded(s.VolumeRestore) {
		return r.letRestoreGo(ctx, s), true
	}
	if s.Status.RollBack == nil {
		return r.rollBack(ctx, s, v1alpha1.ReasonDeleting, "it was deleted before it was complete"), true
	}
	return outcome{}, false
}

func (r *VolumeRestoreReconciler) letRestoreGo(ctx context.Context, s *restoreScope) outcome {
	base := s.DeepCopy()
	controllerutil.RemoveFinalizer(s.VolumeRestore, v1alpha1.FinalizerVolumeRestore)
	err := r.Patch(ctx, s.VolumeRestore, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
	s.written = s.DeepCopy()
	return again(client.IgnoreNotFound(err))
}

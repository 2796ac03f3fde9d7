package controllers

import (
	"context"
	"fmt"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// stuckAfter is how long snapshots may take to go before a person is asked.
const stuckAfter = 5 * time.Minute

// delete thaws what may be frozen, then takes the snapshots along or lets them
// go, and then lets the object go.
func (r *VolumeBackupReconciler) delete(ctx context.Context, s *backupScope) outcome {
	if !controllerutil.ContainsFinalizer(s.VolumeBackup, v1alpha1.FinalizerVolumeBackup) {
		return rest()
	}
	if snapshot.Open(s.Status.Quiesce) {
		if out, left := r.thawDeleted(ctx, s); left {
			return out
		}
	}
	made, err := r.liveSnapshotsOf(ctx, s)
	if err != nil {
		return again(err)
	}
	var waiting []string
	for i := range made {
		gone, err := r.letGo(ctx, s, &made[i])
		if err != nil {
			return again(err)
		}
		if !gone {
			waiting = append(waiting, made[i].Name)
		}
	}
	groups, err := r.letGroupsGo(ctx, s)
	if err != nil {
		return again(err)
	}
	if len(groups) > 0 { // first: it is they that hold their snapshots
		return r.awaitGone(s, kindGroup, groups)
	}
	if len(waiting) > 0 && r.groups == "" && s.grouped() {
		setCondition(s.VolumeBackup, v1alpha1.ConditionStalled, true, v1alpha1.ReasonDeletionStuck, "%s, and these VolumeSnapshots only go with their group: %s", noGroups, strings.Join(waiting, ", "))
		return waitFor(stuckAfter)
	}
	if len(waiting) > 0 {
		return r.awaitGone(s, "VolumeSnapshot", waiting)
	}
	base := s.DeepCopy()
	controllerutil.RemoveFinalizer(s.VolumeBackup, v1alpha1.FinalizerVolumeBackup)
	err = r.Patch(ctx, s.VolumeBackup, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
	s.written = s.DeepCopy()
	return again(client.IgnoreNotFound(err))
}

// thawDeleted thaws for an object that is being deleted. left is true where
// the deletion has to wait for it. An attempt that has been given up is tried
// once more, and doesn't keep the object.
func (r *VolumeBackupReconciler) thawDeleted(ctx context.Context, s *backupScope) (out outcome, left bool) {
	if snapshot.Ended(s.VolumeBackup) {
		if err := r.thawPods(ctx, s); err != nil {
			record(r.Events, s.VolumeBackup, eventThawFailed(mayBeFrozen(s.VolumeBackup, err)))
		}
		return outcome{}, false
	}
	return r.recover(ctx, s), true
}

// liveSnapshotsOf reads past the cache: what isn't deleted now is deleted by
// nobody.
func (r *VolumeBackupReconciler) liveSnapshotsOf(ctx context.Context, s *backupScope) ([]snapshotv1.VolumeSnapshot, error) {
	var made snapshotv1.VolumeSnapshotList
	err := r.Live.List(ctx, &made, client.InNamespace(s.Namespace), client.MatchingLabels{v1alpha1.LabelBackupUID: string(s.UID)})
	return made.Items, err
}

// letGo deletes a snapshot, or unbinds it from the backup where it is to be
// retained.
func (r *VolumeBackupReconciler) letGo(ctx context.Context, s *backupScope, snap *snapshotv1.VolumeSnapshot) (gone bool, err error) {
	if s.retains(snap) {
		base := snap.DeepCopy()
		s.retain(snap)
		return true, client.IgnoreNotFound(r.Patch(ctx, snap, client.MergeFrom(base)))
	}
	if !snap.DeletionTimestamp.IsZero() || groupOf(snap) != nil {
		return false, nil
	}
	return false, client.IgnoreNotFound(r.Delete(ctx, snap, client.Preconditions{UID: &snap.UID}))
}

// retains is true for a snapshot that stays. Only what the status names is worth
// it: the rest was never proven. Of a group it may not name the snapshots yet.
func (s *backupScope) retains(snap *snapshotv1.VolumeSnapshot) bool {
	group := groupOf(snap)
	return s.Spec.DeletionPolicy == v1alpha1.DeletionRetain && (s.names(snap.Name) || group != nil && group.Name == s.group())
}

// retain takes from an object all that makes it the backup's, and leaves on it
// what nobody else could tell any more.
func (s *backupScope) retain(obj client.Object) {
	marks, notes := obj.GetLabels(), obj.GetAnnotations()
	delete(marks, v1alpha1.LabelBackup)
	delete(marks, v1alpha1.LabelBackupUID)
	if notes == nil {
		notes = map[string]string{}
	}
	delete(notes, annotationBackup)
	notes[v1alpha1.AnnotationRetainedFrom] = s.Name
	notes[v1alpha1.AnnotationConsistency] = string(s.Status.Consistency)
	obj.SetLabels(marks)
	obj.SetAnnotations(notes)
}

func (s *backupScope) names(snap string) bool {
	for _, v := range s.Status.Volumes {
		if v.SnapshotName == snap {
			return true
		}
	}
	return false
}

// awaitGone says what the deletion waits for. The end of a snapshot brings the
// backup here again.
func (r *VolumeBackupReconciler) awaitGone(s *backupScope, kind string, waiting []string) outcome {
	message := fmt.Sprintf("waits until these %ss are deleted: %s", kind, strings.Join(waiting, ", "))
	working(s.VolumeBackup, v1alpha1.ReasonDeleting, "%s", message)
	left := s.DeletionTimestamp.Add(stuckAfter).Sub(r.Clock.Now())
	if left > 0 {
		meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionStalled)
		return waitFor(left)
	}
	mend := fmt.Sprintf("kubectl describe %s -n %s %s says what holds them", strings.ToLower(kind), s.Namespace, waiting[0])
	setCondition(s.VolumeBackup, v1alpha1.ConditionStalled, true, v1alpha1.ReasonDeletionStuck, "%s: %s", message, mend)
	return waitFor(stuckAfter)
}

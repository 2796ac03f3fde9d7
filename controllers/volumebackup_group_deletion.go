package controllers

import (
	"context"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// groupsOf are the groups that were made for a backup.
func (r *VolumeBackupReconciler) groupsOf(ctx context.Context, from client.Reader, s *backupScope) ([]unstructured.Unstructured, error) {
	if r.groups == "" {
		return nil, nil
	}
	return r.listGroupObjects(ctx, from, kindGroup, client.InNamespace(s.Namespace), client.MatchingLabels{v1alpha1.LabelBackupUID: string(s.UID)})
}

// settleDelay is how long to leave a group to the snapshot controller that can't
// be deleted yet.
const settleDelay = time.Second

// deleteGroup deletes a group with all that was made of it, as soon as that
// leaves nothing behind.
func (r *VolumeBackupReconciler) deleteGroup(ctx context.Context, s *backupScope, u *unstructured.Unstructured) (deleted bool, err error) {
	var group snapshot.Group
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &group); err != nil {
		return false, err
	}
	if !group.DeletionTimestamp.IsZero() {
		return false, nil
	}
	content, err := r.contentOf(ctx, r.Live, &group)
	if err != nil {
		return false, err
	}
	var there snapshotv1.VolumeSnapshotList
	if err := r.Live.List(ctx, &there, client.InNamespace(s.Namespace)); err != nil {
		return false, err
	}
	if !group.CanGo(content, membersOf(there.Items, group.UID), r.Clock.Since(group.CreationTimestamp.Time)) {
		s.lookAgain = settleDelay
		return false, nil
	}
	err = r.Delete(ctx, u, client.Preconditions{UID: &group.UID})
	return err == nil, client.IgnoreNotFound(err)
}

// discardGroups deletes the groups of a backup that its status doesn't name.
func (r *VolumeBackupReconciler) discardGroups(ctx context.Context, s *backupScope) error {
	groups, err := r.groupsOf(ctx, r.Cache, s)
	if err != nil {
		return err
	}
	for i := range groups {
		if groups[i].GetName() == s.group() {
			continue
		}
		if deleted, err := r.deleteGroup(ctx, s, &groups[i]); err != nil {
			return err
		} else if deleted {
			record(r.Events, s.VolumeBackup, eventLateCutDiscarded(kindGroup, groups[i].GetName()))
		}
	}
	return nil
}

// letGroupsGo lets all groups of a backup go, and returns those that it has to
// wait for.
func (r *VolumeBackupReconciler) letGroupsGo(ctx context.Context, s *backupScope) (waiting []string, err error) {
	groups, err := r.groupsOf(ctx, r.Live, s)
	if err != nil {
		return nil, err
	}
	for i := range groups {
		gone, err := r.letGroupGo(ctx, s, &groups[i])
		if err != nil {
			return nil, err
		}
		if !gone {
			waiting = append(waiting, groups[i].GetName())
		}
	}
	return waiting, nil
}

// letGroupGo deletes a group, or unbinds it from the backup where it is to be
// retained.
func (r *VolumeBackupReconciler) letGroupGo(ctx context.Context, s *backupScope, u *unstructured.Unstructured) (gone bool, err error) {
	if s.Spec.DeletionPolicy != v1alpha1.DeletionRetain || u.GetName() != s.group() {
		_, err := r.deleteGroup(ctx, s, u)
		return false, err
	}
	base := u.DeepCopy()
	s.retain(u)
	return true, client.IgnoreNotFound(r.Patch(ctx, u, client.MergeFrom(base)))
}

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// The snapshots of a group are looked for ever more rarely: mostly the group's
// own events tell.
const (
	minMembersDelay = time.Second
	maxMembersDelay = time.Minute
)

// awaitMembers waits until the snapshots of a group are there, and the group is
// ready: before, the snapshot controller writes them anew again and again, as
// unready. waits is false once nothing but the snapshots has to be looked at.
func (r *VolumeBackupReconciler) awaitMembers(ctx context.Context, s *backupScope, left time.Duration) (out outcome, waits bool) {
	if r.groups == "" {
		return r.noMembers(ctx, s, left, noGroups), true
	}
	group, err := r.theGroup(ctx, r.Live, s)
	if err != nil {
		return again(err), true
	}
	if group == nil || !group.DeletionTimestamp.IsZero() {
		return r.snapshotsLost(ctx, s, fmt.Sprintf("%s %s was deleted before its snapshots were ready", kindGroup, s.group())), true
	}
	all, err := r.adopt(ctx, s, group)
	switch {
	case err != nil:
		return again(err), true
	case !all, !group.Status.ReadyToUse:
		said := "waits until the snapshot controller has made the snapshots of " + kindGroup + " " + group.Name
		if all {
			said = "waits until " + kindGroup + " " + group.Name + " is ready"
		}
		if failure := group.Status.Error; failure != nil {
			said += ": " + ptr.Deref(failure.Message, "it gives no reason for its error")
		}
		return r.noMembers(ctx, s, left, said), true
	}
	return outcome{}, false
}

// noMembers waits for a group, and gives up at the end of the time that is left.
func (r *VolumeBackupReconciler) noMembers(ctx context.Context, s *backupScope, left time.Duration, message string) outcome {
	if left <= 0 {
		return r.neverReady(ctx, s, message)
	}
	message += "; the application runs"
	setCondition(s.VolumeBackup, v1alpha1.ConditionSnapshotsReady, false, v1alpha1.ReasonNotReady, "%s", message)
	working(s.VolumeBackup, v1alpha1.ReasonNotReady, "%s", message)
	since := r.Clock.Since(s.Status.Quiesce.CutAt.Time)
	return waitFor(min(left, max(minMembersDelay, min(since/2, maxMembersDelay))))
}

// adopt finds the snapshots that the snapshot controller has made of a group
// after its cut, and marks them as the backup's. all is false while some are to
// come.
func (r *VolumeBackupReconciler) adopt(ctx context.Context, s *backupScope, group *snapshot.Group) (all bool, err error) {
	if !s.names("") {
		return true, nil
	}
	var there snapshotv1.VolumeSnapshotList
	if err := r.Live.List(ctx, &there, client.InNamespace(s.Namespace)); err != nil {
		return false, err
	}
	members := membersOf(there.Items, group.UID)
	for i := range s.Status.Volumes {
		v := &s.Status.Volumes[i]
		member := memberOf(members, v.ClaimName)
		if member == nil {
			continue
		}
		if err := r.adoptMember(ctx, s, member, v.ClaimName); err != nil {
			return false, err
		}
		v.SnapshotName = member.Name
	}
	return !s.names(""), nil
}

func memberOf(members []snapshotv1.VolumeSnapshot, claim string) *snapshotv1.VolumeSnapshot {
	for i := range members {
		if ptr.Deref(members[i].Spec.Source.PersistentVolumeClaimName, "") == claim {
			return &members[i]
		}
	}
	return nil
}

func membersOf(there []snapshotv1.VolumeSnapshot, group types.UID) []snapshotv1.VolumeSnapshot {
	return slices.DeleteFunc(there, func(snap snapshotv1.VolumeSnapshot) bool {
		owner := groupOf(&snap)
		return owner == nil || owner.UID != group
	})
}

// groupOf is the group that a snapshot belongs to, nil where it was made alone.
// The snapshot controller keeps its members until the group itself goes.
func groupOf(snap *snapshotv1.VolumeSnapshot) *metav1.OwnerReference {
	for i, o := range snap.OwnerReferences {
		if o.Kind == kindGroup && strings.HasPrefix(o.APIVersion, snapshot.GroupAPI+"/") {
			return &snap.OwnerReferences[i]
		}
	}
	return nil
}

func (r *VolumeBackupReconciler) adoptMember(ctx context.Context, s *backupScope, snap *snapshotv1.VolumeSnapshot, claim string) error {
	if snap.Labels[v1alpha1.LabelBackupUID] == string(s.UID) {
		return nil
	}
	base := snap.DeepCopy()
	for key, value := range labelsOf(s.VolumeBackup) {
		metav1.SetMetaDataLabel(&snap.ObjectMeta, key, value)
	}
	metav1.SetMetaDataLabel(&snap.ObjectMeta, v1alpha1.LabelClaim, snapshot.LabelValue(claim))
	metav1.SetMetaDataAnnotation(&snap.ObjectMeta, annotationBackup, s.Name)
	return r.Patch(ctx, snap, client.MergeFrom(base))
}

package controllers

import (
	"context"
	"fmt"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"golang.org/x/sync/errgroup"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// +kubebuilder:rbac:groups=groupsnapshot.storage.k8s.io,resources=volumegroupsnapshots,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=groupsnapshot.storage.k8s.io,resources=volumegroupsnapshotcontents,verbs=get;list;watch
// +kubebuilder:rbac:groups=groupsnapshot.storage.k8s.io,resources=volumegroupsnapshotclasses,verbs=get;list
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=patch

const (
	kindGroup        = "VolumeGroupSnapshot"
	kindGroupContent = "VolumeGroupSnapshotContent"
	kindGroupClass   = "VolumeGroupSnapshotClass"
)

// groupsIn is the version of snapshots of groups that the cluster serves, empty
// where it serves none that is understood, or only some of its kinds.
func groupsIn(mapper meta.RESTMapper) (version string, err error) {
	for _, version := range snapshot.GroupVersions {
		served, err := servesGroups(mapper, version)
		if served || err != nil {
			return version, err
		}
	}
	return "", nil
}

func servesGroups(mapper meta.RESTMapper, version string) (bool, error) {
	for _, kind := range []string{kindGroup, kindGroupContent, kindGroupClass} {
		_, err := mapper.RESTMapping(schema.GroupKind{Group: snapshot.GroupAPI, Kind: kind}, version)
		if meta.IsNoMatchError(err) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	return true, nil
}

// groupObject is an object of that API. It is read as what the cluster serves:
// its versions come and go faster than ours.
func (r *VolumeBackupReconciler) groupObject(kind string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: snapshot.GroupAPI, Version: r.groups, Kind: kind})
	return u
}

// readGroupObject reads an object of that API into one of ours. found is false
// where it isn't there.
func (r *VolumeBackupReconciler) readGroupObject(ctx context.Context, from client.Reader, key client.ObjectKey, kind string, into any) (found bool, err error) {
	u := r.groupObject(kind)
	if err := from.Get(ctx, key, u); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return true, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into)
}

// planGroup decides whether the volumes are cut as a group. After an attempt
// that failed so they aren't any more, unless that is what the owner asked for.
func (r *VolumeBackupReconciler) planGroup(ctx context.Context, b *v1alpha1.VolumeBackup, p *plan) error {
	asked := ptr.Deref(b.Spec.VolumeGroupSnapshotClassName, "")
	if asked == "" && (b.Spec.VolumeSnapshotClassName != nil || groupFailed(b.Status.Quiesce)) {
		return nil
	}
	if r.groups == "" && asked != "" {
		return v1alpha1.Problemf(v1alpha1.ReasonNoSnapshotClass,
			"this cluster doesn't serve %s (%s), or didn't when Lull was started: leave out spec.volumeGroupSnapshotClassName", kindGroup, snapshot.GroupAPI)
	} else if r.groups == "" {
		return nil
	}
	listed := &unstructured.UnstructuredList{}
	listed.SetGroupVersionKind(r.groupObject(kindGroupClass + "List").GroupVersionKind())
	if err := r.Live.List(ctx, listed); err != nil {
		return err
	}
	classes := make([]snapshot.GroupClass, len(listed.Items))
	for i := range listed.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(listed.Items[i].Object, &classes[i]); err != nil {
			return err
		}
	}
	class, err := snapshot.ChooseGroupClass(classes, p.volumes, asked)
	if class != "" {
		p.groupClass = class
		for i := range p.volumes {
			p.volumes[i].VolumeSnapshotClassName = ""
		}
	}
	return err
}

func groupFailed(q *v1alpha1.QuiesceStatus) bool {
	return q != nil && q.GroupSnapshotName != "" && q.Failure != ""
}

// grouped is true where the newest attempt cuts, or has cut, a group.
func (s *backupScope) grouped() bool {
	return s.Status.Quiesce != nil && s.Status.Quiesce.GroupSnapshotName != ""
}

// group is the group that is worth keeping, empty where there is none.
func (s *backupScope) group() string {
	if !s.grouped() || groupFailed(s.Status.Quiesce) {
		return ""
	}
	return s.Status.Quiesce.GroupSnapshotName
}

// labelClaims marks the claims of a group, which selects its volumes by that.
// The label stays: a group of another name never selects it, and to take it
// away would be one more thing to forget.
func (r *VolumeBackupReconciler) labelClaims(ctx context.Context, s *backupScope) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, v := range s.Status.Volumes {
		all.Go(func() error { return r.labelClaim(ctx, s, v.ClaimName) })
	}
	return all.Wait()
}

func (r *VolumeBackupReconciler) labelClaim(ctx context.Context, s *backupScope, name string) error {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name}}
	mark := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, v1alpha1.LabelGroup, s.Status.Quiesce.GroupSnapshotName)
	return r.Patch(ctx, claim, client.RawPatch("application/merge-patch+json", mark))
}

// createGroup makes the group, or finds it made.
func (r *VolumeBackupReconciler) createGroup(ctx context.Context, s *backupScope, class string) error {
	name := s.Status.Quiesce.GroupSnapshotName
	u := r.groupObject(kindGroup)
	u.SetNamespace(s.Namespace)
	u.SetName(name)
	u.SetLabels(labelsOf(s.VolumeBackup))
	u.SetAnnotations(map[string]string{annotationBackup: s.Name})
	u.Object["spec"] = map[string]any{
		"volumeGroupSnapshotClassName": class,
		"source":                       map[string]any{"selector": map[string]any{"matchLabels": map[string]any{v1alpha1.LabelGroup: name}}},
	}
	err := r.Create(ctx, u)
	if apierrors.IsAlreadyExists(err) {
		there := r.groupObject(kindGroup)
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(u), there); err != nil {
			return err
		}
		if there.GetLabels()[v1alpha1.LabelBackupUID] == string(s.UID) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("%s %s could not be created: %w", kindGroup, name, err)
	}
	return nil
}

// observeGroup reads the backup's group, by its claims. The group itself shows
// the cut only after all that is made of it; its content does at once.
func (r *VolumeBackupReconciler) observeGroup(ctx context.Context, from client.Reader, s *backupScope, p *plan) (map[string]snapshot.Observed, error) {
	var group snapshot.Group
	found, err := r.readGroupObject(ctx, from, client.ObjectKey{Namespace: s.Namespace, Name: s.Status.Quiesce.GroupSnapshotName}, kindGroup, &group)
	if err != nil || !found || group.Labels[v1alpha1.LabelBackupUID] != string(s.UID) {
		return nil, err
	}
	content := &snapshot.GroupContent{}
	found, err = r.readGroupObject(ctx, from, client.ObjectKey{Name: snapshot.GroupContentName(group.UID)}, kindGroupContent, content)
	if err != nil {
		return nil, err
	}
	if !found {
		content = nil
	}
	return snapshot.ObserveGroup(&group, content, p.handles), nil
}

// membersDelay is how long to wait for the snapshots of a group.
const membersDelay = time.Second

// adopt finds the snapshots that the snapshot controller has made of a group
// after its cut, and marks them as the backup's. all is false while some are to
// come, lost true where none will.
func (r *VolumeBackupReconciler) adopt(ctx context.Context, s *backupScope) (all, lost bool, err error) {
	var group snapshot.Group
	found, err := r.readGroupObject(ctx, r.Live, client.ObjectKey{Namespace: s.Namespace, Name: s.group()}, kindGroup, &group)
	if err != nil {
		return false, false, err
	}
	if !found || !group.DeletionTimestamp.IsZero() {
		return false, true, nil
	}
	var there snapshotv1.VolumeSnapshotList
	if err := r.Live.List(ctx, &there, client.InNamespace(s.Namespace)); err != nil {
		return false, false, err
	}
	all = true
	for i := range s.Status.Volumes {
		v := &s.Status.Volumes[i]
		member := memberOf(there.Items, &group, v.ClaimName)
		if member == nil {
			all = false
			continue
		}
		if err := r.adoptMember(ctx, s, member, v.ClaimName); err != nil {
			return false, false, err
		}
		v.SnapshotName = member.Name
	}
	return all, false, nil
}

func memberOf(there []snapshotv1.VolumeSnapshot, group *snapshot.Group, claim string) *snapshotv1.VolumeSnapshot {
	for i := range there {
		owner := groupOf(&there[i])
		if owner != nil && owner.UID == group.UID && ptr.Deref(there[i].Spec.Source.PersistentVolumeClaimName, "") == claim {
			return &there[i]
		}
	}
	return nil
}

// groupOf is the group that a snapshot belongs to, nil where it was made alone.
// The snapshot controller keeps its members until the group itself goes.
func groupOf(snap *snapshotv1.VolumeSnapshot) *metav1.OwnerReference {
	for i, o := range snap.OwnerReferences {
		if o.Kind == kindGroup {
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

// groupsOf are the groups that were made for a backup.
func (r *VolumeBackupReconciler) groupsOf(ctx context.Context, from client.Reader, s *backupScope) ([]unstructured.Unstructured, error) {
	if r.groups == "" {
		return nil, nil
	}
	made := &unstructured.UnstructuredList{}
	made.SetGroupVersionKind(r.groupObject(kindGroup + "List").GroupVersionKind())
	err := from.List(ctx, made, client.InNamespace(s.Namespace), client.MatchingLabels{v1alpha1.LabelBackupUID: string(s.UID)})
	return made.Items, err
}

// settleLimit is how long a group that is to be deleted is left to the snapshot
// controller, which may not even work on groups.
const settleLimit = time.Minute

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
	if !group.Settled() && r.Clock.Since(group.CreationTimestamp.Time) < settleLimit {
		s.lookAgain = membersDelay
		return false, nil
	}
	err = r.Delete(ctx, u, client.Preconditions{UID: &group.UID})
	return err == nil, client.IgnoreNotFound(err)
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
	unbind(u)
	return true, client.IgnoreNotFound(r.Patch(ctx, u, client.MergeFrom(base)))
}

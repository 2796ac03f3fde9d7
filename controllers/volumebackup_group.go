package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"golang.org/x/sync/errgroup"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// +kubebuilder:rbac:groups=groupsnapshot.storage.k8s.io,resources=volumegroupsnapshots,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=groupsnapshot.storage.k8s.io,resources=volumegroupsnapshotcontents,verbs=get;list;watch
// +kubebuilder:rbac:groups=groupsnapshot.storage.k8s.io,resources=volumegroupsnapshotclasses,verbs=list
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=patch

const (
	kindGroup        = "VolumeGroupSnapshot"
	kindGroupContent = "VolumeGroupSnapshotContent"
	kindGroupClass   = "VolumeGroupSnapshotClass"
)

// findGroups finds out whether the cluster serves snapshots of groups. A manager
// does its other work also where it does and they can't be read, by its rights or
// for want of what converts their versions: a watch that fails would end it.
func (r *VolumeBackupReconciler) findGroups(ctx context.Context, mapper meta.RESTMapper) (err error) {
	if r.groups, err = groupsIn(mapper); err != nil || r.groups == "" {
		return err
	}
	for _, kind := range []string{kindGroup, kindGroupContent, kindGroupClass} {
		if _, err := r.listGroupObjects(ctx, r.Live, kind, client.Limit(1)); err != nil {
			logf.FromContext(ctx).WithName("volumebackup").Error(err, "volumes are cut one by one: snapshots of groups can't be read", "kind", kind)
			r.groups = ""
			return nil
		}
	}
	return nil
}

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

func (r *VolumeBackupReconciler) listGroupObjects(ctx context.Context, from client.Reader, kind string, options ...client.ListOption) ([]unstructured.Unstructured, error) {
	listed := &unstructured.UnstructuredList{}
	listed.SetGroupVersionKind(r.groupObject(kind + "List").GroupVersionKind())
	err := from.List(ctx, listed, options...)
	return listed.Items, err
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

// planGroup decides whether the volumes are cut as a group. Where nobody asked
// for that only the first attempt does: what failed in it may be the group.
func (r *VolumeBackupReconciler) planGroup(ctx context.Context, b *v1alpha1.VolumeBackup, p *plan) error {
	asked := ptr.Deref(b.Spec.VolumeGroupSnapshotClassName, "")
	if asked == "" && (r.groups == "" || b.Spec.VolumeSnapshotClassName != nil || b.Status.Quiesce != nil) {
		return nil
	}
	if r.groups == "" {
		return v1alpha1.Problemf(v1alpha1.ReasonNoSnapshotClass, "%s: leave out spec.volumeGroupSnapshotClassName, or restart Lull once it does", noGroups)
	}
	listed, err := r.listGroupObjects(ctx, r.Live, kindGroupClass)
	if err != nil {
		return err
	}
	classes := make([]snapshot.GroupClass, len(listed))
	for i := range listed {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(listed[i].Object, &classes[i]); err != nil {
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

const noGroups = "this cluster doesn't serve " + kindGroup + " (" + snapshot.GroupAPI + "), or didn't when Lull was started"

// grouped is true where the newest attempt cuts, or has cut, a group.
func (s *backupScope) grouped() bool {
	return s.Status.Quiesce != nil && s.Status.Quiesce.GroupSnapshotName != ""
}

// group is the group that is worth keeping, empty where there is none.
func (s *backupScope) group() string {
	if !s.grouped() || s.Status.Quiesce.Failure != "" {
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
	if err := r.foundMade(ctx, s, u, r.groupObject(kindGroup), r.Create(ctx, u)); err != nil {
		return fmt.Errorf("%s %s could not be created: %w", kindGroup, name, err)
	}
	return nil
}

// observeGroup reads the backup's group, by its claims. The group itself shows
// the cut only after all that is made of it; its content does at once.
func (r *VolumeBackupReconciler) observeGroup(ctx context.Context, from client.Reader, s *backupScope, p *plan) (map[string]snapshot.Observed, error) {
	group, err := r.theGroup(ctx, from, s)
	if err != nil || group == nil {
		return nil, err
	}
	content, err := r.contentOf(ctx, from, group)
	if err != nil {
		return nil, err
	}
	s.Status.Quiesce.GroupSnapshotUID = group.UID
	return snapshot.ObserveGroup(group, content, p.handles), nil
}

// theGroup is the group of the newest attempt, nil where it isn't there.
func (r *VolumeBackupReconciler) theGroup(ctx context.Context, from client.Reader, s *backupScope) (*snapshot.Group, error) {
	group, q := &snapshot.Group{}, s.Status.Quiesce
	found, err := r.readGroupObject(ctx, from, client.ObjectKey{Namespace: s.Namespace, Name: q.GroupSnapshotName}, kindGroup, group)
	if err != nil || !found || group.Labels[v1alpha1.LabelBackupUID] != string(s.UID) || q.GroupSnapshotUID != "" && q.GroupSnapshotUID != group.UID {
		return nil, err
	}
	return group, nil
}

// contentOf is the content of a group, nil where there is none.
func (r *VolumeBackupReconciler) contentOf(ctx context.Context, from client.Reader, group *snapshot.Group) (*snapshot.GroupContent, error) {
	content := &snapshot.GroupContent{}
	found, err := r.readGroupObject(ctx, from, client.ObjectKey{Name: snapshot.GroupContentName(group.UID)}, kindGroupContent, content)
	if err != nil || !found {
		return nil, err
	}
	return content, nil
}

// notTakenUp says so where the snapshot controller has done nothing about a
// group: that nothing was cut has another mend then than patience.
func (r *VolumeBackupReconciler) notTakenUp(ctx context.Context, s *backupScope) string {
	if !s.grouped() {
		return ""
	}
	group, err := r.theGroup(ctx, r.Cache, s)
	if err != nil || group == nil || group.Status.BoundVolumeGroupSnapshotContentName != "" {
		return ""
	}
	return fmt.Sprintf(" (the snapshot controller has not taken up %s %s: does it run with --feature-gates=CSIVolumeGroupSnapshot=true?)", kindGroup, group.Name)
}

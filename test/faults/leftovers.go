package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// awaitNothingLeft waits until no snapshot is left but those that are retained,
// which belong to nobody, and removes these.
func (r *backupRun) awaitNothingLeft(ctx context.Context) {
	err := poll(ctx, goneLimit, "nothing is left of it", func(ctx context.Context) (string, error) {
		snapshots, contents, err := r.testbed.left(ctx)
		left, groupErr := r.groupsLeft(ctx)
		made, madeErr := r.testbed.madeToMove(ctx)
		left = append(left, made...)
		err = errors.Join(err, groupErr, madeErr, r.unstick(ctx))
		if slices.ContainsFunc(r.backups(), outlives) {
			err = errors.Join(err, r.testbed.freeOutliving(ctx))
		}
		for i := range snapshots {
			s := &snapshots[i]
			if r.retained(s) && len(s.OwnerReferences) == 0 {
				err = errors.Join(err, client.IgnoreNotFound(r.testbed.Delete(ctx, s)))
			}
			left = append(left, "snapshot "+s.Name)
		}
		for i := range contents {
			left = append(left, "content "+contents[i].Name)
		}
		return strings.Join(left, ", "), err
	})
	if err != nil {
		r.violates("orphans: %v", err)
	}
	var pods corev1.PodList
	if err := r.testbed.List(ctx, &pods, client.InNamespace(r.testbed.namespace)); err != nil {
		r.broke("%v", err)
	}
	for _, p := range pods.Items {
		if p.Labels["app"] == "" && !isOfRepository(&p) {
			r.violates("orphan: pod %s", p.Name)
		}
	}
}

// retained is true for what a backup has left behind as its owner asked: it is
// nobody's, and says of which backup it is and what verdict that had. One that
// is deleted under way has a verdict too, once an attempt was good.
func (r *backupRun) retained(obj client.Object) bool {
	labels, notes := obj.GetLabels(), obj.GetAnnotations()
	if labels[v1alpha1.LabelBackup] != "" || labels[v1alpha1.LabelBackupUID] != "" || notes[v1alpha1.AnnotationConsistency] == "" {
		return false
	}
	return slices.ContainsFunc(r.backups(), func(b *v1alpha1.VolumeBackup) bool {
		return b.Name == notes[v1alpha1.AnnotationRetainedFrom] && (b.Spec.DeletionPolicy == v1alpha1.DeletionRetain || outlives(b))
	})
}

// outlives is true for a backup whose copies are to outlive its namespace.
func outlives(b *v1alpha1.VolumeBackup) bool { return b.Spec.DeletionPolicy == v1alpha1.DeletionOrphan }

// checkOutlives holds a complete backup whose copies are to outlive its namespace
// to just that, and to how they are found then.
func (r *backupRun) checkOutlives(ctx context.Context, b *v1alpha1.VolumeBackup) {
	if !outlives(b) || r.noted(&r.tampered) {
		return
	}
	_, contents, err := r.testbed.left(ctx)
	_, groupContents, groupErr := r.testbed.Groups(ctx, r.testbed.namespace)
	if err := errors.Join(err, groupErr); err != nil {
		r.broke("%v", err)
		return
	}
	for _, v := range b.Status.Volumes {
		i := slices.IndexFunc(contents, func(c snapshotv1.VolumeSnapshotContent) bool { return c.Name == v.ContentName })
		if i < 0 {
			r.wants(r.goes(ctx, b), b, "content %s isn't there", v.ContentName)
			continue
		}
		c := &contents[i]
		r.wants(c.Spec.DeletionPolicy == snapshotv1.VolumeSnapshotContentRetain, b, "the copy of %s would go with the namespace", v.ClaimName)
		r.wants(c.Labels[v1alpha1.LabelNamespace] == b.Namespace && c.Labels[v1alpha1.LabelBackup] == b.Name && c.Labels[v1alpha1.LabelClaim] == v.ClaimName,
			b, "the copy of %s isn't found by its labels: %v", v.ClaimName, c.Labels)
		r.wants(v.SnapshotHandle != "" && c.Status != nil && v.SnapshotHandle == ptr.Deref(c.Status.SnapshotHandle, ""), b,
			"its status calls the copy of %s %q", v.ClaimName, v.SnapshotHandle)
	}
	for i := range groupContents {
		r.wants(!goesWithNamespace(&groupContents[i]), b, "the copy of group content %s would go with the namespace", groupContents[i].GetName())
	}
}

func goesWithNamespace(groupContent *unstructured.Unstructured) bool {
	becomes, _, _ := unstructured.NestedString(groupContent.Object, "spec", "deletionPolicy")
	return becomes != string(snapshotv1.VolumeSnapshotContentRetain)
}

// freeOutliving has the copies go that were to outlive their namespace, as an
// administrator does who needs them no more. First they are to go with their
// snapshot; one whose snapshot is gone goes by itself.
func (tb *testbed) freeOutliving(ctx context.Context) error {
	snapshots, contents, err := tb.left(ctx)
	groups, groupContents, groupErr := tb.Groups(ctx, tb.namespace)
	if err := errors.Join(err, groupErr); err != nil {
		return err
	}
	var errs []error
	for i := range contents {
		c := &contents[i]
		isBound := slices.ContainsFunc(snapshots, func(s snapshotv1.VolumeSnapshot) bool { return s.Name == c.Spec.VolumeSnapshotRef.Name })
		errs = append(errs, tb.free(ctx, c, c.Spec.DeletionPolicy != snapshotv1.VolumeSnapshotContentRetain, isBound))
	}
	for i := range groupContents {
		c := &groupContents[i]
		of, _, _ := unstructured.NestedString(c.Object, "spec", "volumeGroupSnapshotRef", "name")
		isBound := slices.ContainsFunc(groups, func(u unstructured.Unstructured) bool { return u.GetName() == of })
		errs = append(errs, tb.free(ctx, c, goesWithNamespace(c), isBound))
	}
	return errors.Join(errs...)
}

// free takes the next step by which a copy goes that is labelled to outlive its
// namespace.
func (tb *testbed) free(ctx context.Context, content client.Object, goes, isBound bool) error {
	switch {
	case content.GetLabels()[v1alpha1.LabelNamespace] == "":
		return nil
	case !goes:
		return client.IgnoreNotFound(tb.Merge(ctx, content, `{"spec":{"deletionPolicy":"Delete"}}`))
	case !isBound && content.GetDeletionTimestamp().IsZero():
		return client.IgnoreNotFound(tb.Delete(ctx, content))
	}
	return nil
}

package backup

import (
	"context"
	"maps"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/names"
)

// outlive has the copies of a backup stay in the storage where its namespace is
// deleted, and with it the snapshots: their contents are set to Retain, and say
// what they are of.
func (w *run) outlive(ctx context.Context) error {
	if w.Spec.DeletionPolicy != v1alpha1.DeletionOrphan {
		return nil
	}
	for i := range w.Status.Volumes {
		v := &w.Status.Volumes[i]
		content := &snapshotv1.VolumeSnapshotContent{}
		if err := w.Live.Get(ctx, client.ObjectKey{Name: v.ContentName}, content); err != nil {
			return err
		}
		if differs := cut.Recorded(v).Differs(cut.IdentityOf(nil, content)); differs != "" {
			return v1alpha1.Problemf(v1alpha1.ReasonSnapshotReplaced, "VolumeSnapshotContent %s of claim %s was replaced by another: %s. %s", content.Name, v.ClaimName, differs, mendReplaced)
		}
		base := content.DeepCopy()
		content.Spec.DeletionPolicy = snapshotv1.VolumeSnapshotContentRetain
		content.Labels = w.labelsOf(content.Labels, v.ClaimName)
		if err := w.Patch(ctx, content, client.MergeFrom(base)); err != nil {
			return err
		}
	}
	return w.outliveGroup(ctx)
}

// outliveGroup does so with the group that they were cut in: it would take its
// members' copies along.
func (w *run) outliveGroup(ctx context.Context) error {
	name := cut.KeptGroup(w.VolumeBackup)
	if name == "" {
		return nil
	}
	group, err := w.groups.group(ctx, w.Live, client.ObjectKey{Namespace: w.Namespace, Name: name})
	if err != nil || group == nil || group.Status.BoundVolumeGroupSnapshotContentName == "" || !cut.IsGroup(w.VolumeBackup, group.Name, group.UID) {
		return err
	}
	content := w.groups.object(kindGroupContent)
	if err := w.Live.Get(ctx, client.ObjectKey{Name: group.Status.BoundVolumeGroupSnapshotContentName}, content); err != nil {
		return client.IgnoreNotFound(err)
	}
	base := content.DeepCopy()
	content.SetLabels(w.labelsOf(content.GetLabels(), ""))
	if err := unstructured.SetNestedField(content.Object, string(snapshotv1.VolumeSnapshotContentRetain), "spec", "deletionPolicy"); err != nil {
		return err
	}
	return w.Patch(ctx, content, client.MergeFrom(base))
}

// labelsOf are labels by which a copy is found when nothing else is there.
func (w *run) labelsOf(own map[string]string, claim string) map[string]string {
	all := maps.Clone(own)
	if all == nil {
		all = map[string]string{}
	}
	all[v1alpha1.LabelManagedBy] = v1alpha1.ManagedBy
	all[v1alpha1.LabelNamespace] = names.LabelValue(w.Namespace)
	all[v1alpha1.LabelBackup] = names.LabelValue(w.Name)
	all[v1alpha1.LabelApplication] = names.LabelValue(w.Spec.ApplicationRef.Name)
	if claim != "" {
		all[v1alpha1.LabelClaim] = names.LabelValue(claim)
	}
	if policy := w.Labels[v1alpha1.LabelPolicy]; policy != "" {
		all[v1alpha1.LabelPolicy] = policy
	}
	return all
}

// staysWith is true for a backup whose snapshots stay when it is deleted: not
// where its policy's retention removes it.
func staysWith(b *v1alpha1.VolumeBackup) bool {
	isKept := b.Spec.DeletionPolicy == v1alpha1.DeletionRetain || b.Spec.DeletionPolicy == v1alpha1.DeletionOrphan
	return isKept && b.Annotations[v1alpha1.AnnotationDiscard] != "true"
}

package backup

import (
	"cmp"
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// maxDeletions is how many backups of a driver are deleted at once: the snapshot
// controller loses contents where very many snapshots go together
// (https://github.com/kubernetes-csi/external-snapshotter/issues/1446).
const maxDeletions = 4

// byDeletion is the index of backups that are being deleted, by the drivers of
// their volumes.
const byDeletion = "deletion"

func indexDeletions(ctx context.Context, indexer client.FieldIndexer) error {
	return indexer.IndexField(ctx, &v1alpha1.VolumeBackup{}, byDeletion, func(obj client.Object) []string {
		b, is := obj.(*v1alpha1.VolumeBackup)
		if !is || b.DeletionTimestamp.IsZero() {
			return nil
		}
		return names.Set(driversOf(b.Status.Volumes))
	})
}

// deletedBefore are backups that are deleted before this one, where it has to wait
// for its turn at one of its drivers. Those that don't go hold nobody up.
func (w *run) deletedBefore(ctx context.Context) ([]string, error) {
	for _, driver := range names.Set(driversOf(w.Status.Volumes)) {
		var all v1alpha1.VolumeBackupList
		if err := w.List(ctx, &all, client.MatchingFields{byDeletion: driver}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, err
		}
		var before []string
		for i := range all.Items {
			b := &all.Items[i]
			isStuck := w.Now().Sub(b.DeletionTimestamp.Time) > stuckAfter
			if !isStuck && isDeletedBefore(b, w.VolumeBackup) {
				before = append(before, b.Namespace+"/"+b.Name)
			}
		}
		if len(before) >= maxDeletions {
			return before, nil
		}
	}
	return nil, nil
}

func isDeletedBefore(a, b *v1alpha1.VolumeBackup) bool {
	return cmp.Or(a.DeletionTimestamp.Compare(b.DeletionTimestamp.Time), slices.Compare([]string{a.Namespace, a.Name}, []string{b.Namespace, b.Name})) < 0
}

package backup

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// nameParent names the claim's last export, which its mover compares with. Without it
// the mover looks for one among all snapshots, as it has to where a mover has run and
// failed: one whose end nobody learned of may have left a newer one.
func (w *run) nameParent(ctx context.Context, v *v1alpha1.VolumeStatus, task *resticexport.Backup) error {
	if v.Export.Attempts > v.Export.NotStarted {
		return nil
	}
	last, err := w.lastComplete(ctx)
	if err != nil || last == nil {
		return err
	}
	task.Parent = resticexport.ParentIn(last, w.VolumeBackup, v.ClaimName)
	return nil
}

// lastComplete is the newest complete backup of the same application and policy, nil
// where there is none. It alone is read past the cache, which has of ended backups
// nothing of their exports.
func (w *run) lastComplete(ctx context.Context) (*v1alpha1.VolumeBackup, error) {
	var all v1alpha1.VolumeBackupList
	if err := w.List(ctx, &all, client.InNamespace(w.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	var newest *v1alpha1.VolumeBackup
	for i := range all.Items {
		if b := &all.Items[i]; w.isBefore(b) && (newest == nil || newest.Status.CompletionTime.Before(b.Status.CompletionTime)) {
			newest = b
		}
	}
	if newest == nil {
		return nil, nil
	}
	last := &v1alpha1.VolumeBackup{}
	if err := w.Live.Get(ctx, client.ObjectKeyFromObject(newest), last); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return last, nil
}

// isBefore is true for a backup of the same application and policy that is complete.
func (w *run) isBefore(b *v1alpha1.VolumeBackup) bool {
	return b.UID != w.UID && b.Spec.ApplicationRef == w.Spec.ApplicationRef &&
		b.Labels[v1alpha1.LabelPolicy] == w.Labels[v1alpha1.LabelPolicy] &&
		b.Status.CompletionTime != nil && meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionComplete)
}

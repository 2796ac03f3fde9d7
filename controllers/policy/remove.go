package policy

import (
	"context"
	"errors"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/policy"
	"github.com/lull-dev/lull/snapshot/restore"
)

// remove deletes the backups that aren't kept, unless the brake holds them. What
// they have made goes by their finalizers.
func (w *run[T]) remove(ctx context.Context) reconcile.Outcome {
	inUse, err := w.inUse(ctx)
	if err != nil {
		return reconcile.Retry(err)
	}
	removal := w.state.Removal(inUse)
	if mass := w.state.Status.MassDeletion; mass != nil {
		w.markHeldForOthers(mass)
		return reconcile.Skip()
	}
	gone := removal.Failed
	released := strconv.FormatInt(w.Object.GetGeneration(), 10)
	if removal.Held == "" || w.Object.GetAnnotations()[v1alpha1.AnnotationReleaseRetention] == released {
		w.Remove(v1alpha1.ConditionStalled)
		gone = append(gone, removal.Complete...)
	} else {
		w.markHeld(removal.Held, released)
	}
	w.discardAll(ctx, gone)
	return reconcile.Skip()
}

// discardAll deletes backups and counts the complete ones. One that can't be
// deleted keeps none of the others.
func (w *run[T]) discardAll(ctx context.Context, backups []*v1alpha1.VolumeBackup) {
	complete := 0
	for _, b := range backups {
		if err := w.discard(ctx, b); client.IgnoreNotFound(err) != nil {
			w.failed = errors.Join(w.failed, err)
		} else if policy.IsComplete(b) {
			complete++
		}
	}
	w.state.Removed(complete)
}

// discard deletes a backup with its copies in the storage: what its deletionPolicy
// keeps is kept from people's slips, and from the end of the namespace.
func (w *run[T]) discard(ctx context.Context, b *v1alpha1.VolumeBackup) error {
	if b.Spec.DeletionPolicy != v1alpha1.DeletionDelete && b.Spec.DeletionPolicy != "" {
		marked := b.DeepCopy()
		metav1.SetMetaDataAnnotation(&marked.ObjectMeta, v1alpha1.AnnotationDiscard, "true")
		if err := w.Patch(ctx, marked, client.MergeFrom(b)); err != nil {
			return err
		}
	}
	uid := b.UID
	w.deletions.expect(uid, w.Now())
	return w.Delete(ctx, b, client.Preconditions{UID: &uid})
}

// inUse are the backups that a restore works from.
func (w *run[T]) inUse(ctx context.Context) (map[string]bool, error) {
	var all v1alpha1.VolumeRestoreList
	if err := w.List(ctx, &all, client.InNamespace(w.state.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for i := range all.Items {
		v := &all.Items[i]
		if restore.Ended(v) {
			continue
		}
		used[policy.Key(v.Namespace, v.Status.Source)] = true
		if v.Spec.Source.VolumeBackupRef != nil {
			used[policy.Key(v.Namespace, v.Spec.Source.VolumeBackupRef.Name)] = true
		}
	}
	return used, nil
}

package backup

import (
	"context"
	"fmt"
	"slices"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/restore"
)

// keepOnlyExports has the snapshots go of a backup that is in the repository as a
// whole, where its owner wants it there alone. It skips once they are gone.
func (w *run) keepOnlyExports(ctx context.Context) reconcile.Outcome {
	if ptr.Deref(w.Spec.Export.KeepSnapshot, true) {
		return reconcile.Skip()
	}
	if !cut.IsOnlyExported(w.VolumeBackup) {
		if isHeld(w.VolumeBackup) {
			return reconcile.Skip()
		}
		// From here on restores come from the repository.
		for i := range w.Status.Volumes {
			w.Status.Volumes[i].ReadyToUse = false
		}
		w.Set(v1alpha1.ConditionSnapshotsReady, false, v1alpha1.ReasonOnlyExported, "it is in repository %s alone", w.Spec.Export.RepositoryRef.Name)
		return reconcile.Failed(w.Save(ctx))
	}
	user, err := w.restoredBy(ctx)
	if err != nil {
		return reconcile.Retry(err)
	}
	if user != "" {
		w.Working(v1alpha1.ReasonExporting, "waits until VolumeRestore %s has ended, which may be made from its snapshots; the application runs", user)
		return reconcile.Wait(exportDelay)
	}
	if out := w.awaitTurn(); !out.Skipped() {
		return out
	}
	if out := w.keepAfterAll(ctx); !out.Skipped() {
		return out
	}
	if out := w.letCutGo(ctx, w.Find(v1alpha1.ConditionSnapshotsReady).LastTransitionTime.Time); !out.Skipped() {
		return out
	}
	w.deletions.end(client.ObjectKeyFromObject(w.VolumeBackup))
	return reconcile.Skip()
}

func isHeld(b *v1alpha1.VolumeBackup) bool { return b.Annotations[v1alpha1.AnnotationKeep] == "true" }

// keepAfterAll looks once more, past the cache, right before what can't be undone. Where
// a person wants the backup kept by now its snapshots stay, as long as none has gone
// yet: whether they can be restored is looked at anew.
func (w *run) keepAfterAll(ctx context.Context) reconcile.Outcome {
	if err := w.Reread(ctx, w.Live); err != nil {
		return reconcile.Retry(err)
	}
	switch {
	case !w.DeletionTimestamp.IsZero():
		return reconcile.Continue()
	case !isHeld(w.VolumeBackup):
		return reconcile.Skip()
	}
	areThere, err := w.areThere(ctx)
	if err != nil {
		return reconcile.Retry(err)
	}
	if !areThere {
		return reconcile.Skip()
	}
	w.deletions.end(client.ObjectKeyFromObject(w.VolumeBackup))
	w.Set(v1alpha1.ConditionSnapshotsReady, false, v1alpha1.ReasonNotReady, "%s keeps the snapshots: it is looked whether all are ready", v1alpha1.AnnotationKeep)
	return reconcile.Continue()
}

// areThere is true where each snapshot of the backup is there, is ready and stays, and
// its group does, read past the cache.
func (w *run) areThere(ctx context.Context) (bool, error) {
	if name := cut.KeptGroup(w.VolumeBackup); name != "" {
		group, err := w.groups.group(ctx, w.Live, client.ObjectKey{Namespace: w.Namespace, Name: name})
		if err != nil || group == nil || group.DeletionTimestamp != nil {
			return false, err
		}
	}
	var made snapshotv1.VolumeSnapshotList
	if err := w.Live.List(ctx, &made, client.InNamespace(w.Namespace), client.MatchingLabels{v1alpha1.LabelBackupUID: string(w.UID)}); err != nil {
		return false, err
	}
	stays := map[string]bool{}
	for i := range made.Items {
		snap := &made.Items[i]
		stays[snap.Name] = snap.DeletionTimestamp.IsZero() && snap.Status != nil && ptr.Deref(snap.Status.ReadyToUse, false)
	}
	goes := func(v v1alpha1.VolumeStatus) bool { return !stays[v.SnapshotName] }
	return !slices.ContainsFunc(w.Status.Volumes, goes), nil
}

// restoredBy is a restore that goes on and began with the snapshots, empty for
// none.
func (w *run) restoredBy(ctx context.Context) (string, error) {
	var restores v1alpha1.VolumeRestoreList
	if err := w.Live.List(ctx, &restores, client.InNamespace(w.Namespace)); err != nil {
		return "", fmt.Errorf("restores of the backup: %w", err)
	}
	for i := range restores.Items {
		v := &restores.Items[i]
		asked := v.Spec.Source.VolumeBackupRef
		isOfThis := v.Status.Source == w.Name || asked != nil && asked.Name == w.Name
		if isOfThis && !restore.Ended(v) && !restore.IsFromRepository(v) && needsSnapshots(v) {
			return v.Name, nil
		}
	}
	return "", nil
}

// needsSnapshots is true for a restore whose claims aren't made of the snapshots
// yet: bound, or filled with paths of them. One that goes back makes none.
func needsSnapshots(v *v1alpha1.VolumeRestore) bool {
	made := v1alpha1.ConditionClaimsReady
	if len(v.Spec.Source.Paths) > 0 {
		made = v1alpha1.ConditionClaimsFilled
	}
	return v.Status.RollBack == nil && !meta.IsStatusConditionTrue(v.Status.Conditions, made)
}

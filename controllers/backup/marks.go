package backup

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/names"
)

// Whoever may write a backup or a snapshot can take from it what marks it as ours: by
// hand, or by kubectl replace with a manifest that lacks it. A snapshot without its
// marks is shown by no watch, and a backup without its finalizer leaves its snapshots
// behind when it is deleted. So all of that is put back.

// mark puts back what marks the backup and its snapshots. It comes before any change of
// the status, which it would lose.
func (w *run) mark(ctx context.Context) reconcile.Outcome {
	if lacksFinalizer(w.VolumeBackup) {
		if err := w.Begin(ctx, v1alpha1.FinalizerVolumeBackup); err != nil {
			return reconcile.Retry(err)
		}
	}
	key := client.ObjectKeyFromObject(w.VolumeBackup)
	unseen := w.snapshots.unseen.take(key)
	maps.Copy(unseen, w.unwatched())
	for name, uid := range unseen {
		if err := w.markSnapshot(ctx, name, uid); err != nil {
			w.snapshots.unseen.addAll(key, unseen)
			return reconcile.Retry(err)
		}
	}
	return reconcile.Skip()
}

// lacksFinalizer is true for a backup that has ended, and would leave snapshots behind.
func lacksFinalizer(b *v1alpha1.VolumeBackup) bool {
	if !cut.Ended(b) || !b.DeletionTimestamp.IsZero() || controllerutil.ContainsFinalizer(b, v1alpha1.FinalizerVolumeBackup) {
		return false
	}
	return namedBy(b) != 0 || cut.KeptGroup(b) != ""
}

// unwatched are the snapshots on record that the watch should show and doesn't. Of a
// backup that has ended it shows none, which says nothing as long as none has gone.
func (w *run) unwatched() map[string]types.UID {
	all := map[string]types.UID{}
	if cut.Ended(w.VolumeBackup) && !w.snapshots.losses.isSuspect(client.ObjectKeyFromObject(w.VolumeBackup)) {
		return all
	}
	for _, v := range w.Status.Volumes {
		if v.SnapshotUID != "" {
			all[v.SnapshotName] = v.SnapshotUID
		}
	}
	for _, snap := range w.snapshots.of(w.VolumeBackup) {
		delete(all, snap.Name)
	}
	return all
}

// markSnapshot puts the marks back on a snapshot of the backup that lacks them.
func (w *run) markSnapshot(ctx context.Context, name string, uid types.UID) error {
	snap := &snapshotv1.VolumeSnapshot{}
	if err := w.Live.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: name}, snap); err != nil {
		return client.IgnoreNotFound(err)
	}
	isOwn := snap.UID == uid && cut.StandingOf(w.VolumeBackup, snap, "") != cut.StandingOther
	if !isOwn || !snap.DeletionTimestamp.IsZero() {
		return nil
	}
	base := snap.DeepCopy()
	marks, notes := labelsOf(w.VolumeBackup), map[string]string{annotationBackup: w.Name}
	if claim := snap.Spec.Source.PersistentVolumeClaimName; claim != nil {
		marks[v1alpha1.LabelClaim] = names.LabelValue(*claim)
	}
	snap.SetLabels(with(snap.Labels, marks))
	snap.SetAnnotations(with(snap.Annotations, notes))
	if maps.Equal(snap.Labels, base.Labels) && maps.Equal(snap.Annotations, base.Annotations) {
		return nil
	}
	return client.IgnoreNotFound(w.Patch(ctx, snap, ofSameUID(base)))
}

func with(there, marks map[string]string) map[string]string {
	all := maps.Clone(there)
	if all == nil {
		return marks
	}
	maps.Copy(all, marks)
	return all
}

// unmarked are snapshots that are on record and aren't among those that carry the marks.
func (w *run) unmarked(ctx context.Context, marked []snapshotv1.VolumeSnapshot) (all []snapshotv1.VolumeSnapshot, err error) {
	isThere := map[string]bool{}
	for _, snap := range marked {
		isThere[snap.Name] = true
	}
	for _, v := range w.Status.Volumes {
		if v.SnapshotUID == "" || isThere[v.SnapshotName] {
			continue
		}
		var snap snapshotv1.VolumeSnapshot
		err := w.Live.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: v.SnapshotName}, &snap)
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		if err == nil && snap.UID == v.SnapshotUID {
			all = append(all, snap)
		}
	}
	return all, nil
}

// discardLimit is how long it is tried to discard what a backup leaves whose object is
// gone.
const discardLimit = 30 * time.Second

// discardOf has go what an attempt has made for a backup that was deleted under way
// without its finalizer. Nobody else comes back for it.
func (w *run) discardOf(ctx context.Context, gone *v1alpha1.VolumeBackup) reconcile.Outcome {
	of := &run{VolumeBackup: gone, Scope: w.Scope, Reconciler: w.Reconciler}
	var last error
	err := wait.PollUntilContextTimeout(context.WithoutCancel(ctx), settleDelay, discardLimit, true, func(ctx context.Context) (bool, error) {
		_, areSnapshots, ofSnapshots := of.letSnapshotsGo(ctx)
		_, areGroups, ofGroups := of.letGroupsGo(ctx)
		last = errors.Join(ofSnapshots, ofGroups)
		return areSnapshots && areGroups && last == nil, nil
	})
	if err != nil {
		w.Log("snapshots of a backup that is gone were left behind", "error", errors.Join(last, err).Error())
	}
	return reconcile.Done().Unsaved()
}

// unseen are snapshots of backups, by their names, that the watch doesn't show any more:
// they are gone, or lack their marks.
type unseen struct {
	mu sync.Mutex
	by map[types.NamespacedName]map[string]types.UID
}

func (u *unseen) add(backup types.NamespacedName, snap client.Object) {
	u.addAll(backup, map[string]types.UID{snap.GetName(): snap.GetUID()})
}

func (u *unseen) addAll(backup types.NamespacedName, snapshots map[string]types.UID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.by == nil {
		u.by = map[types.NamespacedName]map[string]types.UID{}
	}
	if u.by[backup] == nil {
		u.by[backup] = map[string]types.UID{}
	}
	maps.Copy(u.by[backup], snapshots)
}

// take has those of a backup, which are forgotten.
func (u *unseen) take(backup types.NamespacedName) map[string]types.UID {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.by[backup]
	delete(u.by, backup)
	if taken == nil {
		return map[string]types.UID{}
	}
	return taken
}

package backup

import (
	"context"
	"fmt"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/names"
)

// stuckAfter is how long snapshots may take to go before a person is asked.
const stuckAfter = 5 * time.Minute

// goneDelay is how soon it is looked whether they have gone where no watch tells.
const goneDelay = 30 * time.Second

// delete takes the snapshots of a deleted backup along or lets them go, and then
// lets the object go. What may be frozen is thawed before: thaws.go.
func (w *run) delete(ctx context.Context) reconcile.Outcome {
	if w.DeletionTimestamp.IsZero() {
		return reconcile.Skip()
	}
	if !controllerutil.ContainsFinalizer(w.VolumeBackup, v1alpha1.FinalizerVolumeBackup) {
		return reconcile.Done()
	}
	if out := w.awaitTurn(); !out.Skipped() {
		return out
	}
	if gone, err := w.removeExports(ctx); err != nil {
		return reconcile.Retry(err)
	} else if !gone {
		w.Working(v1alpha1.ReasonDeleting, "waits until its exports are ended")
		return reconcile.Wait(settleDelay)
	}
	if out := w.letCutGo(ctx, w.DeletionTimestamp.Time); !out.Skipped() {
		return out
	}
	if err := w.Release(ctx, v1alpha1.FinalizerVolumeBackup); err != nil {
		return reconcile.Retry(err)
	}
	return reconcile.Done()
}

// awaitTurn bounds how many backups of a driver have their snapshots deleted at
// once.
func (w *run) awaitTurn() reconcile.Outcome {
	before := w.deletions.begin(client.ObjectKeyFromObject(w.VolumeBackup), cut.DriverNames(w.Status.Volumes), w.Now())
	if len(before) == 0 {
		return reconcile.Skip()
	}
	w.Working(v1alpha1.ReasonDeleting, "waits for its turn: of a driver's backups the snapshots of %d are deleted at once, and before it those of %s", maxDeletions, names.List(before))
	return reconcile.Wait(settleDelay)
}

// letCutGo has all go that was cut for the backup, or unbinds it where it is to be
// retained. It skips once nothing is left to wait for. since is when that began.
func (w *run) letCutGo(ctx context.Context, since time.Time) reconcile.Outcome {
	snapshots, areSettled, err := w.letSnapshotsGo(ctx)
	if err != nil {
		return reconcile.Retry(err)
	}
	groups, settled, err := w.letGroupsGo(ctx)
	if err != nil {
		return reconcile.Retry(err)
	}
	switch { // groups first: it is they that hold their snapshots
	case len(groups) > 0:
		return w.awaitGone(since, kindGroup, groups, settled)
	case len(snapshots) > 0 && !w.groups.served() && w.Status.Quiesce != nil && w.Status.Quiesce.GroupSnapshotName != "":
		w.Set(v1alpha1.ConditionStalled, true, v1alpha1.ReasonDeletionStuck, "%s, and these VolumeSnapshots only go with their group: %s", noGroups, strings.Join(snapshots, ", "))
		return reconcile.Wait(stuckAfter)
	case len(snapshots) > 0:
		return w.awaitGone(since, "VolumeSnapshot", snapshots, areSettled)
	}
	return reconcile.Skip()
}

// letSnapshotsGo deletes the backup's snapshots, or unbinds them where they are
// to be retained, and has those that it has to wait for. It reads past the
// cache: what isn't deleted now is deleted by nobody. What carries the backup's
// marks and isn't its own is left alone; what is on record goes without them, too. It is settled where none has to be left to
// the snapshot controller for a moment.
func (w *run) letSnapshotsGo(ctx context.Context) (waiting []string, settled bool, err error) {
	var made snapshotv1.VolumeSnapshotList
	if err := w.Live.List(ctx, &made, client.InNamespace(w.Namespace), client.MatchingLabels{v1alpha1.LabelBackupUID: string(w.UID)}); err != nil {
		return nil, false, err
	}
	unmarked, err := w.unmarked(ctx, made.Items)
	if err != nil {
		return nil, false, err
	}
	settled = true
	made.Items = append(made.Items, unmarked...)
	for i := range made.Items {
		snap := &made.Items[i]
		standing, err := w.standingOf(ctx, snap)
		if err != nil {
			return nil, false, err
		}
		if standing == cut.StandingOther {
			continue
		}
		if standing == cut.StandingKept && staysWith(w.VolumeBackup) {
			if err := w.retain(ctx, snap); err != nil {
				return nil, false, err
			}
			continue
		}
		waiting = append(waiting, snap.Name)
		if cut.KeptGroup(w.VolumeBackup) != "" && !cut.IsMade(w.VolumeBackup, snap) {
			continue // it goes with its group
		}
		_, isSettled, err := w.discard(ctx, snap)
		if err != nil {
			return nil, false, err
		}
		settled = settled && isSettled
	}
	return waiting, settled, nil
}

// letGroupsGo does so with its groups.
func (w *run) letGroupsGo(ctx context.Context) (waiting []string, settled bool, err error) {
	groups, err := w.groups.ofBackup(ctx, w.Live, w.VolumeBackup)
	settled = true
	for i := range groups {
		u := &groups[i]
		if staysWith(w.VolumeBackup) && u.GetName() == cut.KeptGroup(w.VolumeBackup) {
			if err := w.retain(ctx, u); err != nil {
				return nil, false, err
			}
			continue
		}
		waiting = append(waiting, u.GetName())
		_, isSettled, err := w.discard(ctx, u)
		if err != nil {
			return nil, false, err
		}
		settled = settled && isSettled
	}
	return waiting, settled, err
}

// standingOf is what a snapshot is to the backup. The status may not name those of
// its group yet.
func (w *run) standingOf(ctx context.Context, snap *snapshotv1.VolumeSnapshot) (cut.Standing, error) {
	standing := cut.StandingOf(w.VolumeBackup, snap, "")
	if standing != cut.StandingOther || cut.Names(w.VolumeBackup, snap.Name) || cut.KeptGroup(w.VolumeBackup) == "" {
		return standing, nil
	}
	_, group, err := w.contentInGroup(ctx, snap)
	return cut.StandingOf(w.VolumeBackup, snap, group), err
}

// retain takes from an object all that makes it the backup's, and leaves on it
// what nobody else could tell any more.
func (w *run) retain(ctx context.Context, obj client.Object) error {
	base := obj.DeepCopyObject().(client.Object)
	marks, notes := obj.GetLabels(), obj.GetAnnotations()
	delete(marks, v1alpha1.LabelBackup)
	delete(marks, v1alpha1.LabelBackupUID)
	if notes == nil {
		notes = map[string]string{}
	}
	delete(notes, annotationBackup)
	delete(notes, annotationNonce)
	notes[v1alpha1.AnnotationRetainedFrom] = w.Name
	notes[v1alpha1.AnnotationConsistency] = string(w.Status.Consistency)
	obj.SetLabels(marks)
	obj.SetAnnotations(notes)
	return client.IgnoreNotFound(w.Patch(ctx, obj, ofSameUID(base)))
}

// awaitGone says what the deletion waits for. The end of a snapshot brings the
// backup here again, unless the watch was lost just then.
func (w *run) awaitGone(since time.Time, kind string, waiting []string, settled bool) reconcile.Outcome {
	message := fmt.Sprintf("waits until these %ss are deleted: %s", kind, strings.Join(waiting, ", "))
	w.Working(v1alpha1.ReasonDeleting, "%s", message)
	left := since.Add(stuckAfter).Sub(w.Now())
	if left > 0 {
		w.Remove(v1alpha1.ConditionStalled)
	} else {
		left = stuckAfter
		w.Set(v1alpha1.ConditionStalled, true, v1alpha1.ReasonDeletionStuck, "%s: kubectl describe %s -n %s %s says what holds them", message, strings.ToLower(kind), w.Namespace, waiting[0])
	}
	if !settled {
		left = min(left, settleDelay)
	}
	return reconcile.Wait(min(left, goneDelay))
}

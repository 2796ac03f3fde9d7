package backup

import (
	"context"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
)

// discardOrphans deletes what attempts of the backup made and its status doesn't
// name: the snapshots and groups of those that failed, whenever they come up. A
// late cut is never adopted.
func (w *run) discardOrphans(ctx context.Context) reconcile.Outcome {
	orphans, err := w.orphansOf(ctx, w.VolumeBackup)
	if err != nil {
		return reconcile.Retry(err)
	}
	unsettled := false
	for _, orphan := range orphans {
		deleted, settled, err := w.discard(ctx, orphan)
		if err != nil {
			return reconcile.Retry(err)
		}
		unsettled = unsettled || !settled
		if deleted {
			w.Record(eventLateCutDiscarded(kindOf(orphan), orphan.GetName()))
		}
	}
	if unsettled {
		return reconcile.SkipFor(settleDelay)
	}
	return reconcile.Skip()
}

// orphansOf are, by the watches, the snapshots and groups that attempts of the
// backup made and its status doesn't name. One that hasn't been seen yet brings the
// backup here again when it comes. A group's snapshots go with it.
func (r *Reconciler) orphansOf(ctx context.Context, b *v1alpha1.VolumeBackup) ([]client.Object, error) {
	if cut.Open(b.Status.Quiesce) && !cut.Ended(b) {
		return nil, nil // its end isn't written yet: nobody knows what it is worth
	}
	var orphans []client.Object
	for _, snap := range r.snapshots.of(b) {
		if cut.StandingOf(b, snap, "") == cut.StandingOrphan && snap.DeletionTimestamp.IsZero() {
			orphans = append(orphans, snap)
		}
	}
	groups, err := r.groups.ofBackup(ctx, r.Cache, b)
	for i := range groups {
		if groups[i].GetName() != cut.KeptGroup(b) && groups[i].GetDeletionTimestamp().IsZero() {
			orphans = append(orphans, &groups[i])
		}
	}
	return orphans, err
}

func kindOf(made client.Object) string {
	if _, ok := made.(*unstructured.Unstructured); ok {
		return kindGroup
	}
	return "VolumeSnapshot"
}

// settleDelay is how long to leave a group to the snapshot controller that can't
// be deleted yet.
const settleDelay = time.Second

// discard deletes a snapshot, or a group with all that was made of it. That is
// not settled where it would leave something behind yet.
func (w *run) discard(ctx context.Context, made client.Object) (deleted, settled bool, err error) {
	if !made.GetDeletionTimestamp().IsZero() {
		return false, true, nil
	}
	if ready, err := w.canGo(ctx, made); err != nil || !ready {
		return false, false, err
	}
	uid := made.GetUID()
	err = w.Delete(ctx, made, client.Preconditions{UID: &uid})
	return err == nil, true, client.IgnoreNotFound(err)
}

// canGo is true where nothing is left behind by a deletion, or nothing that is
// not to stay.
func (w *run) canGo(ctx context.Context, made client.Object) (bool, error) {
	stay, err := w.copiesStay(ctx, made)
	if err != nil {
		return false, err
	}
	if u, ok := made.(*unstructured.Unstructured); ok {
		return w.groupCanGo(ctx, u, stay)
	}
	snap, ok := made.(*snapshotv1.VolumeSnapshot)
	if stay || !ok {
		return true, nil
	}
	return w.freeCopy(ctx, snap)
}

func (w *run) groupCanGo(ctx context.Context, u *unstructured.Unstructured, copiesStay bool) (bool, error) {
	var group cut.Group
	if err := into(u, &group); err != nil {
		return false, err
	}
	content, err := w.groups.content(ctx, w.Live, &group)
	if err != nil {
		return false, err
	}
	var there snapshotv1.VolumeSnapshotList
	if err := w.Live.List(ctx, &there, client.InNamespace(w.Namespace)); err != nil {
		return false, err
	}
	claimants := claimantsOf(there.Items, group.UID)
	if !group.CanGo(content, claimants, w.Now().Sub(group.CreationTimestamp.Time)) {
		return false, nil
	}
	if copiesStay {
		return true, nil
	}
	members, err := w.membersAmong(ctx, claimants, content)
	if err != nil {
		return false, err
	}
	return w.freeGroup(ctx, &group, content, members)
}

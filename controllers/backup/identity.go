package backup

import (
	"context"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
)

// A snapshot is itself, not its name: whoever may write VolumeSnapshots in a
// namespace can put another one under the name that a backup has on record.

const mendReplaced = "Nothing is known of what is there now, and it is left alone: make another backup"

// ofSameUID is the patch from base to an object, which the API server refuses to
// make on another one of its name.
func ofSameUID(base client.Object) client.Patch {
	base.SetUID("")
	return client.MergeFrom(base)
}

// snapshotsReplaced ends the backup. Its verdict was on what isn't there any more.
func (w *run) snapshotsReplaced(replaced string) reconcile.Outcome {
	w.Status.Consistency = ""
	message := replaced + ". " + mendReplaced
	w.Set(v1alpha1.ConditionSnapshotsReady, false, v1alpha1.ReasonSnapshotReplaced, "%s", message)
	return reconcile.Stall(v1alpha1.Problemf(v1alpha1.ReasonSnapshotReplaced, "%s", message))
}

// verify sees that what is exported is what was cut. A UID never comes back: where a
// snapshot is itself before its clone is asked for, and once the clone was read,
// the clone is of it.
func (w *run) verify(ctx context.Context) reconcile.Outcome {
	if w.next() != cut.StepExport || cut.IsOnlyExported(w.VolumeBackup) {
		return reconcile.Skip()
	}
	var replaced []string
	for i := range w.Status.Volumes {
		v := &w.Status.Volumes[i]
		if v.Export != nil && v.Export.SnapshotID != "" {
			continue
		}
		snap := &snapshotv1.VolumeSnapshot{}
		err := w.Live.Get(ctx, client.ObjectKey{Namespace: w.Namespace, Name: v.SnapshotName}, snap)
		if client.IgnoreNotFound(err) != nil {
			return reconcile.Retry(err)
		}
		if o := cut.ObserveRecorded(v, snap, nil); err == nil && o.Replaced != "" {
			replaced = append(replaced, o.Replaced)
		}
	}
	if len(replaced) > 0 {
		w.Set(v1alpha1.ConditionExported, false, v1alpha1.ReasonExportFailed, "%s. %s", strings.Join(replaced, "; "), mendReplaced)
	}
	return reconcile.Skip() // Export removes what it has made, and ends the backup
}

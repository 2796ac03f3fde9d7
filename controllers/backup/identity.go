package backup

import (
	"context"
	"strings"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
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

// verify sees that what is exported is what was cut.
func (w *run) verify(ctx context.Context) reconcile.Outcome {
	if w.next() != cut.StepExport || cut.IsOnlyExported(w.VolumeBackup) {
		return reconcile.Skip()
	}
	var doubts []string
	for i := range w.Status.Volumes {
		v := &w.Status.Volumes[i]
		if v.Export != nil && v.Export.SnapshotID != "" {
			continue
		}
		doubt, err := w.verifyClone(ctx, v)
		if err != nil {
			return reconcile.Retry(err)
		}
		if doubt != "" {
			doubts = append(doubts, doubt)
		}
	}
	if len(doubts) > 0 {
		w.Set(v1alpha1.ConditionExported, false, v1alpha1.ReasonExportFailed, "%s. Make another backup", strings.Join(doubts, "; "))
	}
	return reconcile.Skip() // Export removes what it has made, and ends the backup
}

// verifyClone says why the clone that is exported may not be of what was cut. Where it
// had no volume yet when its mover gave its place to others, it has waited for that
// alone, and its turn is sooner now.
func (w *run) verifyClone(ctx context.Context, v *v1alpha1.VolumeStatus) (doubt string, err error) {
	export := ptr.Deref(v.Export, v1alpha1.ExportStatus{})
	s := mover.Source{
		Namespace: w.Namespace, Snapshot: v.SnapshotName, Clone: resticexport.CloneName(w.VolumeBackup, v.ClaimName),
		Owner: w.UID, Is: cut.Recorded(v), Proven: export.CloneUID,
	}
	doubt, err = w.Movers.Prove(ctx, &s)
	if err != nil || doubt != "" {
		return "claim " + v.ClaimName + ": " + doubt, err
	}
	if v.Export != nil && export.CloneUID != s.Proven {
		v.Export.CloneUID, v.Export.NotStarted = s.Proven, 0
	}
	return "", nil
}

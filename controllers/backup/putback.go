package backup

import (
	"context"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/names"
)

// leaveAlone ends a backup that Velero has put back. Nothing is frozen by it: what
// its status says is of an earlier life.
func (w *run) leaveAlone(ctx context.Context) reconcile.Outcome {
	by := v1alpha1.PutBackBy(w.VolumeBackup, w.Status.StartTime)
	out := w.LeaveAlone(ctx, by, v1alpha1.FinalizerVolumeBackup, cut.Ended(w.VolumeBackup))
	if cut.Ended(w.VolumeBackup) && w.Status.CompletionTime == nil {
		w.Status.CompletionTime = &metav1.Time{Time: w.Now()}
	}
	return out
}

// takenBefore refuses a new backup where snapshots of another one of its name are
// there, nil where none are. A backup that is deleted takes its snapshots along, or
// takes its marks off them: so the other one was lost, and this is its manifest, which
// somebody has applied again. Who made it for a due time makes each once, and isn't
// asked: there may be thousands.
func (w *run) takenBefore(ctx context.Context) (*v1alpha1.Problem, error) {
	if w.Status.StartTime != nil || w.Annotations[v1alpha1.AnnotationScheduledAt] != "" {
		return nil, nil
	}
	var there snapshotv1.VolumeSnapshotList
	if err := w.Live.List(ctx, &there, client.InNamespace(w.Namespace), client.MatchingLabels{v1alpha1.LabelBackup: names.LabelValue(w.Name)}); err != nil {
		return nil, err
	}
	var others []string
	for i := range there.Items {
		if uid := there.Items[i].Labels[v1alpha1.LabelBackupUID]; uid != "" && uid != string(w.UID) {
			others = append(others, there.Items[i].Name)
		}
	}
	if len(others) == 0 {
		return nil, nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonAlreadyBackedUp,
		"a VolumeBackup %s was taken before, and its snapshots are there (%s): a manifest that is applied again, by GitOps or with a restored cluster, is no wish to freeze the application again. For a new backup take another name; or, if those snapshots aren't needed, delete them and this object, and create it anew (kubectl delete volumesnapshot -n %s -l %s=%s)",
		w.Name, names.List(others), w.Namespace, v1alpha1.LabelBackup, names.LabelValue(w.Name)), nil
}

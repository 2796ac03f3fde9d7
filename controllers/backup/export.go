package backup

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/cut"
)

// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=get;list;watch;create;delete

// exportDelay is how soon it is looked again at what nothing tells of.
const exportDelay = 5 * time.Second

// export ships every snapshot that isn't in the repository yet, all at once as far
// as that has places. Each is cloned, and a mover reads the clone.
func (w *run) export(ctx context.Context) reconcile.Outcome {
	if w.next() != cut.StepExport {
		return reconcile.Skip()
	}
	failed := w.Find(v1alpha1.ConditionExported)
	if failed == nil || failed.Reason != v1alpha1.ReasonExportFailed {
		if waits, err := w.exportVolumes(ctx); reconcile.ProblemOf(err) != nil {
			w.Set(v1alpha1.ConditionExported, false, v1alpha1.ReasonExportFailed, "%s", err)
			return reconcile.Continue()
		} else if err != nil {
			return reconcile.Retry(err)
		} else if waits != "" {
			return w.awaitExport(waits)
		}
	}
	if gone, err := w.removeExports(ctx); err != nil {
		return reconcile.Retry(err)
	} else if !gone {
		w.Working(v1alpha1.ReasonExporting, "removes what the exports were made by; the application runs")
		return reconcile.Wait(settleDelay)
	}
	if failed != nil && failed.Reason == v1alpha1.ReasonExportFailed {
		return reconcile.Stall(v1alpha1.Problemf(failed.Reason, "%s", failed.Message))
	}
	if out := w.keepOnlyExports(ctx); !out.Skipped() {
		return out
	}
	name := w.Spec.Export.RepositoryRef.Name
	w.Set(v1alpha1.ConditionExported, true, v1alpha1.ReasonExported, "%d volume(s) are in repository %s", len(w.Status.Volumes), name)
	w.RecordOnceSaved(eventExported(len(w.Status.Volumes), name))
	return w.complete()
}

// exportVolumes brings the exports on, and says what they wait for.
func (w *run) exportVolumes(ctx context.Context) (waits string, err error) {
	if exportedCount(w.VolumeBackup) == len(w.Status.Volumes) {
		return "", nil
	}
	repository, waits, err := mover.Repository(ctx, w.Client, w.Namespace, w.Spec.Export.RepositoryRef.Name)
	if err != nil {
		return waits, client.IgnoreNotFound(err)
	}
	place := mover.Place{Kind: mover.Shared, Most: repository.Spec.Concurrency, Waits: cmp.Or(waits, mover.YieldsTo(repository))}
	var told []string
	for i := range w.Status.Volumes {
		waits, err := w.exportVolume(ctx, &w.Status.Volumes[i], repository, place)
		if err != nil {
			return "", err
		}
		if waits != "" {
			told = append(told, w.Status.Volumes[i].ClaimName+": "+waits)
		}
	}
	return strings.Join(told, "; "), nil
}

// exportVolume brings the export of one volume on, and says what it waits for.
// Nothing is left to wait for once its snapshot in the repository is recorded.
func (w *run) exportVolume(ctx context.Context, v *v1alpha1.VolumeStatus, repository *v1alpha1.ResticRepository, place mover.Place) (waits string, err error) {
	if v.Export == nil {
		v.Export = &v1alpha1.ExportStatus{}
	}
	if v.Export.SnapshotID != "" {
		return "", nil
	}
	if next := resticexport.NextExportAt(v.Export, w.Now()); next.After(w.Now()) {
		return fmt.Sprintf("tries again at %s after %s", next.UTC().Format(time.TimeOnly+" MST"), v.Export.Message), nil
	}
	as, err := w.Movers.As(ctx, w.Namespace, w.Spec.ApplicationRef, repository.Spec.Mover.Privileged)
	if err != nil {
		return "", err
	}
	place.First = func(ctx context.Context) (string, error) {
		was := ptr.Deref(v.Claim, v1alpha1.BackedUpClaim{})
		return w.Movers.MakeClone(ctx, resticexport.Clone(w.VolumeBackup, v), v.Export.CloneUID, was.Labels, was.Annotations)
	}
	place.Complete = func(ctx context.Context, task *resticexport.Task) error { return w.nameParent(ctx, v, task.Backup) }
	in := resticexport.ExportJob(w.VolumeBackup, v, repository, as)
	in.Cache = mover.CacheOfExport(repository, &in, v.ClaimName)
	moved, err := w.Movers.Run(ctx, in, resticexport.OwnerOfExport(w.VolumeBackup), place)
	if err != nil {
		return "", err
	}
	if moved.IsStuck(v.Export.NotStarted, w.Now()) {
		// Before it is recorded: nobody looks at this Job then, which would keep its
		// place. The clone stays, since the storage may be at work on it.
		if _, err := w.Movers.Remove(ctx, w.Namespace, in.Name); err != nil {
			return "", err
		}
		moved.Ended, moved.Result = true, resticexport.NotStarted(moved.Waits)
	}
	if !moved.Ended {
		v.Export.Message = moved.Waits
		if moved.Waits == "" {
			return "is exported", nil
		}
		return moved.Waits, nil
	}
	if err := w.Movers.Doubt(ctx, repository, moved.Result, w.Now()); err != nil {
		return "", err
	}
	if moved.Result.Done { // the clone may have come, and been read, since it was looked at
		if doubt, err := w.verifyClone(ctx, v); err != nil {
			return "", err
		} else if doubt != "" {
			return "", v1alpha1.Problemf(v1alpha1.ReasonExportFailed, "%s. Make another backup", doubt)
		}
	}
	return w.exported(ctx, v, moved.Result, in.Name)
}

// exported records what a mover came to, before its Job goes. What another try
// can't mend ends the backup.
func (w *run) exported(ctx context.Context, v *v1alpha1.VolumeStatus, result resticexport.Result, job string) (waits string, err error) {
	resticexport.RecordExport(v.Export, result, w.Now())
	if err := w.Save(ctx); err != nil {
		return "", err
	}
	noteExport(result)
	if _, err := w.Movers.Remove(ctx, w.Namespace, job); err != nil {
		return "", err
	}
	switch {
	case result.Done:
		return "", nil
	case !result.Cause.Again():
		return "", v1alpha1.Problemf(v1alpha1.ReasonExportFailed, "claim %s could not be exported: %s: %s.%s The snapshots are kept", v.ClaimName, result.Cause, result.Message, resticexport.MendOfExport(result, w.Spec.Export.RepositoryRef.Name))
	}
	return v.Export.Message, nil
}

// removeExports removes what the exports were made by. It is true once all of it
// is gone.
func (w *run) removeExports(ctx context.Context) (gone bool, err error) {
	if w.Spec.Export == nil {
		return true, nil
	}
	var jobs batchv1.JobList
	if err := w.Live.List(ctx, &jobs, client.InNamespace(w.Namespace), client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}); err != nil {
		return false, err
	}
	clones, movers := map[string]types.UID{}, map[string]bool{}
	for i := range jobs.Items {
		movers[jobs.Items[i].Name] = true
	}
	for i := range w.Status.Volumes { // a Job may have lost its label
		v := &w.Status.Volumes[i]
		movers[resticexport.ExportJobName(w.VolumeBackup, v)] = true
		clones[resticexport.CloneName(w.VolumeBackup, v.ClaimName)] = ptr.Deref(v.Export, v1alpha1.ExportStatus{}).CloneUID
	}
	if gone, err = w.Movers.RemoveOwn(ctx, w.Namespace, w.UID, slices.Collect(maps.Keys(movers))); err != nil {
		return false, err
	}
	areGone, err := w.Movers.RemoveClones(ctx, w.Namespace, w.UID, clones)
	return gone && areGone, err
}

// awaitExport says what the exports wait for, until that takes too long.
func (w *run) awaitExport(waits string) reconcile.Outcome {
	since := w.Find(v1alpha1.ConditionSnapshotsReady).LastTransitionTime.Time
	left := since.Add(w.Options.ExportTimeout).Sub(w.Now())
	if left <= 0 {
		w.Set(v1alpha1.ConditionExported, false, v1alpha1.ReasonExportFailed, "not all volumes were exported within %s: %s. The snapshots are kept", w.Options.ExportTimeout, waits)
		return reconcile.Continue()
	}
	w.Set(v1alpha1.ConditionExported, false, v1alpha1.ReasonExporting, "%s", waits)
	w.Working(v1alpha1.ReasonExporting, "%s; the application runs", waits)
	return reconcile.Wait(min(left, exportDelay))
}

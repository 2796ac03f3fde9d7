package restore

import (
	"context"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/policy"
	"github.com/lull-dev/lull/snapshot/restore"
	"github.com/lull-dev/lull/snapshot/workload"
)

// resolve decides what is to be restored, onto what and how, and fixes it in
// the status. Nothing is made or stopped yet.
func (w *run) resolve(ctx context.Context) reconcile.Outcome {
	if w.Object.Status.Strategy != "" {
		return reconcile.Skip()
	}
	if err := w.chooseSource(ctx); err != nil {
		return reconcile.Failed(err)
	}
	backup, err := w.backup(ctx)
	if err != nil {
		return reconcile.Failed(err)
	}
	if found, without := restore.OnlyExported(backup); found != nil {
		w.Object.Status.Found, backup = found, without
	}
	target := restore.TargetOf(w.Object, backup)
	w.exclusive.Lock() // until the status says who works on the application
	defer w.exclusive.Unlock()
	if out := w.awaitExclusivity(ctx, target); !out.Skipped() {
		return out
	}
	in, err := w.gather(ctx, backup, target)
	if err != nil {
		return reconcile.Retry(err)
	}
	resolution, err := restore.Resolve(*in)
	if err != nil {
		return reconcile.Failed(err)
	}
	w.fix(in, target, resolution)
	if err := w.warnOfOwners(ctx); err != nil {
		return reconcile.Retry(err)
	}
	return reconcile.Failed(w.Save(ctx))
}

// fix writes down what the restore sets out to do.
func (w *run) fix(in *restore.Input, target v1alpha1.ApplicationReference, res *restore.Resolution) {
	status := &w.Object.Status
	status.Application = &target
	if in.Workload != nil && res.Strategy != v1alpha1.StrategyClaimsOnly {
		status.ApplicationUID = in.Workload.Meta.UID
	}
	status.Strategy, status.StrategyReason = res.Strategy, reconcile.Shorten(res.Reason)
	status.Claims, status.Autoscaler = res.Claims, res.Autoscaler
	status.Kept = &v1alpha1.KeptVolumes{InNamespace: int32(len(in.Kept) + res.Keeps), Limit: int32(in.MaxKept)}
	w.Remove(v1alpha1.ConditionStalled)
	w.Working(v1alpha1.ReasonPreparing, "restores %d claim(s) by %s: %s", len(res.Claims), res.Strategy, res.Reason)
	if len(res.Unrestored) > 0 {
		w.RecordOnceSaved(eventNotRestored(res.Unrestored))
	}
	for _, warning := range res.Warnings {
		w.RecordOnceSaved(eventWarned(warning))
	}
}

// notResolved waits a while for a problem that may pass, and ends the restore
// with any other. Nothing was touched.
func (r *Reconciler) notResolved(s *scope, p *v1alpha1.Problem) reconcile.Outcome {
	if s.Object.Spec.RollBack {
		return markFailed(s, v1alpha1.ReasonNothingToRollBack, "nothing was restored, so there is nothing to undo: "+p.Message)
	}
	since := s.Now()
	if c := s.Find(v1alpha1.ConditionStalled); c != nil {
		since = c.LastTransitionTime.Time
	}
	left := since.Add(r.Options.NotFoundTimeout).Sub(s.Now())
	if !p.Passing || left <= 0 {
		return markFailed(s, p.Reason, p.Message)
	}
	s.Working(p.Reason, "%s", p.Message)
	s.Set(v1alpha1.ConditionStalled, true, p.Reason, "%s", p.Message)
	return reconcile.Wait(min(left, time.Second))
}

// chooseSource writes down which backup is restored, before anything waits:
// retention leaves it alone from then on.
func (w *run) chooseSource(ctx context.Context) error {
	source := w.Object.Spec.Source
	if w.Object.Status.Source != "" {
		return nil
	}
	if source.Repository != nil {
		return nil // it was found before
	}
	if source.Policy == nil {
		w.Object.Status.Source = source.VolumeBackupRef.Name
		return nil
	}
	backups, err := w.live().Backups(ctx, w.Object.Namespace)
	if err != nil {
		return err
	}
	asOf := ptr.Deref(source.Policy.AsOf, metav1.Time{})
	chosen, err := policy.Choose(source.Policy.Ref.Name, w.Object.Spec.Target.ApplicationRef, asOf.Time, backups)
	if err != nil {
		return err
	}
	w.Object.Status.Source = chosen.Name
	return w.Save(ctx)
}

func (w *run) backup(ctx context.Context) (*v1alpha1.VolumeBackup, error) {
	if w.Object.Spec.Source.Repository != nil {
		return restore.BackupIn(w.Object), nil
	}
	name := w.Object.Status.Source
	b := &v1alpha1.VolumeBackup{}
	err := w.Live.Get(ctx, client.ObjectKey{Namespace: w.Object.Namespace, Name: name}, b)
	if apierrors.IsNotFound(err) {
		return nil, v1alpha1.PassingProblemf(v1alpha1.ReasonBackupNotFound,
			"there is no VolumeBackup %q in namespace %q: kubectl get volumebackup shows those that are", name, w.Object.Namespace)
	}
	return b, err
}

// gather reads all that a restore is resolved from, past the cache.
func (w *run) gather(ctx context.Context, backup *v1alpha1.VolumeBackup, target v1alpha1.ApplicationReference) (in *restore.Input, err error) {
	in = &restore.Input{Restore: w.Object, Backup: backup, MaxKept: w.Options.MaxKeptVolumes}
	namespace := w.Object.Namespace
	if workload.IsScalable(target.Kind) {
		if in.Workload, err = w.live().Workload(ctx, namespace, target); err != nil {
			return nil, err
		}
	}
	if in.Claims, err = w.live().Claims(ctx, namespace); err != nil {
		return nil, err
	}
	if in.Pods, err = w.live().Pods(ctx, namespace); err != nil {
		return nil, err
	}
	if in.Others, err = w.live().Workloads(ctx, namespace); err != nil {
		return nil, err
	}
	if in.Kept, err = w.keptVolumes(ctx); err != nil {
		return nil, err
	}
	if err := w.addSnapshots(ctx, in); err != nil {
		return nil, err
	}
	return in, w.addClasses(ctx, in)
}

// addSnapshots reads the backup's snapshots and their contents, as far as they
// are there.
func (w *run) addSnapshots(ctx context.Context, in *restore.Input) error {
	in.Snapshots, in.Contents = map[string]*snapshotv1.VolumeSnapshot{}, map[string]*snapshotv1.VolumeSnapshotContent{}
	for _, v := range in.Backup.Status.Volumes {
		if v.SnapshotName == "" { // a backup that failed has volumes without one
			continue
		}
		snap, content, err := w.live().Snapshot(ctx, in.Backup.Namespace, v.SnapshotName)
		if err != nil {
			return err
		}
		if snap != nil {
			in.Snapshots[snap.Name] = snap
		}
		if content != nil {
			in.Contents[content.Name] = content
		}
	}
	return nil
}

// addClasses reads the storage classes, and the autoscalers of the namespace.
func (w *run) addClasses(ctx context.Context, in *restore.Input) error {
	var err error
	if in.Autoscalers, err = w.autoscalers(ctx); err != nil {
		return err
	}
	var classes storagev1.StorageClassList
	if err := w.Live.List(ctx, &classes); err != nil {
		return err
	}
	in.Classes = map[string]*storagev1.StorageClass{}
	for i := range classes.Items {
		in.Classes[classes.Items[i].Name] = &classes.Items[i]
	}
	return nil
}

func (w *run) autoscalers(ctx context.Context) ([]autoscalingv2.HorizontalPodAutoscaler, error) {
	var all autoscalingv2.HorizontalPodAutoscalerList
	err := w.Live.List(ctx, &all, client.InNamespace(w.Object.Namespace))
	return all.Items, err
}

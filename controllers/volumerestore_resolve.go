package controllers

import (
	"context"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// resolve decides what is to be restored, onto what and how, and fixes it in
// the status. Nothing is made or stopped yet.
func (r *VolumeRestoreReconciler) resolve(ctx context.Context, s *restoreScope) outcome {
	backup, err := r.backupOf(ctx, s)
	if err != nil {
		return r.notResolved(ctx, s, err)
	}
	r.turn.Lock()
	defer r.turn.Unlock()
	target := snapshot.TargetOf(s.VolumeRestore, backup)
	if out, waits := r.awaitTurn(ctx, s, target); waits {
		return out
	}
	in, err := r.gather(ctx, s, backup, target)
	if err != nil {
		return r.notResolved(ctx, s, err)
	}
	res, err := snapshot.Resolve(*in)
	if err != nil {
		return r.notResolved(ctx, s, err)
	}
	s.Status.Source, s.Status.Application = backup.Name, &target
	if in.Workload != nil && res.Strategy != v1alpha1.StrategyClaimsOnly {
		s.Status.ApplicationUID = in.Workload.Meta.UID
	}
	s.Status.Strategy, s.Status.StrategyReason = res.Strategy, res.Reason
	s.Status.Claims, s.Status.Autoscaler = res.Claims, res.Autoscaler
	meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionStalled)
	s.working(r.Clock, v1alpha1.ReasonPreparing, "restores %d claim(s) by %s: %s", len(res.Claims), res.Strategy, res.Reason)
	if err := r.save(ctx, s); err != nil {
		return again(err)
	}
	if len(res.Unrestored) > 0 {
		record(r.Events, s.VolumeRestore, eventNotRestored(res.Unrestored))
	}
	return goOn()
}

// notResolved waits a while for a problem that may pass, and ends the restore
// with any other. Nothing was touched.
func (r *VolumeRestoreReconciler) notResolved(ctx context.Context, s *restoreScope, err error) outcome {
	p := problemOf(err)
	if p == nil {
		return again(err)
	}
	if s.Spec.RollBack {
		return r.fail(ctx, s, v1alpha1.ReasonNothingToRollBack, "nothing was restored, so there is nothing to undo: "+p.Message)
	}
	if !p.Passing {
		return r.fail(ctx, s, p.Reason, p.Message)
	}
	since := r.Clock.Now()
	if c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionStalled); c != nil {
		since = c.LastTransitionTime.Time
	}
	left := since.Add(r.Options.NotFoundTimeout).Sub(r.Clock.Now())
	if left <= 0 {
		return r.fail(ctx, s, p.Reason, p.Message)
	}
	s.working(r.Clock, p.Reason, "%s", p.Message)
	s.set(r.Clock, v1alpha1.ConditionStalled, true, p.Reason, "%s", p.Message)
	return waitFor(min(left, time.Second))
}

func (r *VolumeRestoreReconciler) backupOf(ctx context.Context, s *restoreScope) (*v1alpha1.VolumeBackup, error) {
	name := s.Spec.Source.VolumeBackupRef.Name
	b := &v1alpha1.VolumeBackup{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: name}, b)
	if apierrors.IsNotFound(err) {
		return nil, v1alpha1.PassingProblemf(v1alpha1.ReasonBackupNotFound,
			"there is no VolumeBackup %q in namespace %q: kubectl get volumebackup shows those that are", name, s.Namespace)
	}
	return b, err
}

// gather reads all that a restore is resolved from, past the cache.
func (r *VolumeRestoreReconciler) gather(ctx context.Context, s *restoreScope, backup *v1alpha1.VolumeBackup, target v1alpha1.ApplicationReference) (*snapshot.RestoreInput, error) {
	in := &snapshot.RestoreInput{Restore: s.VolumeRestore, Backup: backup}
	obj, err := r.scalable(ctx, s.Namespace, target)
	if err != nil {
		return nil, err
	}
	if in.Workload, err = r.workload(ctx, obj); err != nil {
		return nil, err
	}
	if in.Claims, err = r.claimsOf(ctx, s.Namespace); err != nil {
		return nil, err
	}
	if in.Pods, err = r.pods(ctx, s.Namespace); err != nil {
		return nil, err
	}
	if err := r.snapshots(ctx, in); err != nil {
		return nil, err
	}
	var autoscalers autoscalingv2.HorizontalPodAutoscalerList
	if err := r.Live.List(ctx, &autoscalers, client.InNamespace(s.Namespace)); err != nil {
		return nil, err
	}
	in.Autoscalers = autoscalers.Items
	var classes storagev1.StorageClassList
	if err := r.Live.List(ctx, &classes); err != nil {
		return nil, err
	}
	in.Classes = map[string]*storagev1.StorageClass{}
	for i := range classes.Items {
		in.Classes[classes.Items[i].Name] = &classes.Items[i]
	}
	return in, nil
}

// snapshots reads the backup's snapshots and their contents, as far as they
// are there.
func (r *VolumeRestoreReconciler) snapshots(ctx context.Context, in *snapshot.RestoreInput) error {
	in.Snapshots, in.Contents = map[string]*snapshotv1.VolumeSnapshot{}, map[string]*snapshotv1.VolumeSnapshotContent{}
	for _, v := range in.Backup.Status.Volumes {
		if v.SnapshotName == "" { // a backup that failed has volumes without one
			continue
		}
		snap, content := &snapshotv1.VolumeSnapshot{}, &snapshotv1.VolumeSnapshotContent{}
		err := r.Live.Get(ctx, client.ObjectKey{Namespace: in.Backup.Namespace, Name: v.SnapshotName}, snap)
		if apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return err
		}
		in.Snapshots[snap.Name] = snap
		err = r.Live.Get(ctx, client.ObjectKey{Name: snapshot.ContentName(snap)}, content)
		if err == nil {
			in.Contents[content.Name] = content
		} else if !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func (r *VolumeRestoreReconciler) claimsOf(ctx context.Context, namespace string) (map[string]*corev1.PersistentVolumeClaim, error) {
	var claims corev1.PersistentVolumeClaimList
	if err := r.Live.List(ctx, &claims, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	byName := map[string]*corev1.PersistentVolumeClaim{}
	for i := range claims.Items {
		byName[claims.Items[i].Name] = &claims.Items[i]
	}
	return byName, nil
}

func (r *VolumeRestoreReconciler) pods(ctx context.Context, namespace string) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := r.Live.List(ctx, &pods, client.InNamespace(namespace))
	return pods.Items, err
}

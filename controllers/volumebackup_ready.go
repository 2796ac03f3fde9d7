package controllers

import (
	"context"
	"fmt"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// awaitReady waits until every snapshot that was set out for can be restored.
// The application has long gone on.
func (r *VolumeBackupReconciler) awaitReady(ctx context.Context, s *backupScope) outcome {
	left := s.Status.Quiesce.CutAt.Add(r.Options.ReadyTimeout).Sub(r.Clock.Now())
	from := client.Reader(r.Client)
	if left <= 0 {
		from = r.Live // what is given up is known for sure: the cache may be late
	}
	if s.grouped() {
		if out, waits := r.awaitMembers(ctx, s, left); waits {
			return out
		}
	}
	observed, err := r.observe(ctx, from, s)
	if err != nil {
		return again(err)
	}
	for i := range s.Status.Volumes {
		snapshot.Record(&s.Status.Volumes[i], observed[s.Status.Volumes[i].ClaimName])
	}
	progress := snapshot.Compare(claimNames(s.VolumeBackup), observed)
	if progress.AllReady() {
		setCondition(s.VolumeBackup, v1alpha1.ConditionSnapshotsReady, true, v1alpha1.ReasonAllReady, "%s can be restored", progress.ReadyOfAll())
		return r.complete(ctx, s)
	}
	if lost, err := r.lost(ctx, s, progress.Missing); err != nil {
		return again(err)
	} else if len(lost) > 0 {
		return r.snapshotsLost(ctx, s, fmt.Sprintf("the snapshot(s) of %s were deleted before they were ready; those of the other volumes are kept", strings.Join(lost, ", ")))
	}
	return r.notReady(ctx, s, progress, left)
}

func (r *VolumeBackupReconciler) snapshotsLost(ctx context.Context, s *backupScope, message string) outcome {
	setCondition(s.VolumeBackup, v1alpha1.ConditionSnapshotsReady, false, v1alpha1.ReasonSnapshotLost, "%s", message)
	return r.fail(ctx, s, v1alpha1.ReasonSnapshotLost, message)
}

func (r *VolumeBackupReconciler) notReady(ctx context.Context, s *backupScope, progress snapshot.Progress, left time.Duration) outcome {
	message := fmt.Sprintf("%s snapshot(s) are ready, waits for %s; the application runs", progress.ReadyOfAll(), strings.Join(progress.Unready, ", "))
	if said := progress.Error(); said != "" {
		message += ": " + said
	}
	if left <= 0 {
		return r.neverReady(ctx, s, message)
	}
	setCondition(s.VolumeBackup, v1alpha1.ConditionSnapshotsReady, false, v1alpha1.ReasonNotReady, "%s", message)
	working(s.VolumeBackup, v1alpha1.ReasonNotReady, "%s", message)
	return waitFor(left)
}

func (r *VolumeBackupReconciler) neverReady(ctx context.Context, s *backupScope, message string) outcome {
	message = fmt.Sprintf("not all snapshots were ready within %s: %s", r.Options.ReadyTimeout, message)
	setCondition(s.VolumeBackup, v1alpha1.ConditionSnapshotsReady, false, v1alpha1.ReasonReadyTimeout, "%s", message)
	return r.fail(ctx, s, v1alpha1.ReasonReadyTimeout, message)
}

// lost are those of the claims whose snapshot is not in the API either: the
// cache alone may only be late.
func (r *VolumeBackupReconciler) lost(ctx context.Context, s *backupScope, missing []string) ([]string, error) {
	var lost []string
	for _, v := range s.Status.Volumes {
		for _, claim := range missing {
			if v.ClaimName != claim || v.SnapshotName == "" {
				continue // one of a group that isn't made yet can't be lost
			}
			var snap snapshotv1.VolumeSnapshot
			err := r.Live.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: v.SnapshotName}, &snap)
			if client.IgnoreNotFound(err) != nil {
				return nil, err
			}
			if err != nil || !snap.DeletionTimestamp.IsZero() {
				lost = append(lost, claim)
			}
		}
	}
	return lost, nil
}

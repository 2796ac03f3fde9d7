package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// restoring is the restore that has the application stopped, empty where none
// has. Its claims lead to volumes of two times while they are swapped, and
// since no pod runs, nothing else would tell.
func (r *VolumeBackupReconciler) restoring(ctx context.Context, b *v1alpha1.VolumeBackup) (string, error) {
	var all v1alpha1.VolumeRestoreList
	if err := r.Live.List(ctx, &all, client.InNamespace(b.Namespace)); err != nil {
		return "", err
	}
	for i := range all.Items {
		if v := &all.Items[i]; v.Status.ScaledDownAt != nil && !snapshot.RestoreEnded(v) && snapshot.Restores(v, b.Spec.ApplicationRef) {
			return v.Name, nil
		}
	}
	return "", nil
}

// busyDelay is how often a backup looks whether its turn has come.
const busyDelay = time.Second

// awaitTurn says what a backup waits for, nothing of which is a problem, until
// it has waited for too long. Nothing is frozen.
func (r *VolumeBackupReconciler) awaitTurn(ctx context.Context, s *backupScope, reason, waits string) outcome {
	left := r.turnEnds(s).Sub(r.Clock.Now())
	if left <= 0 {
		return r.fail(ctx, s, reason, fmt.Sprintf("gave up after %s: it %s", r.Options.TurnTimeout, waits))
	}
	working(s.VolumeBackup, reason, "%s", waits)
	return waitFor(min(left, busyDelay))
}

func (r *VolumeBackupReconciler) turnEnds(s *backupScope) time.Time {
	return mayBegin(s).Add(r.Options.TurnTimeout)
}

// errNoTurn: it has waited for as long as it may.
var errNoTurn = errors.New("its turn did not come")

func waitsForRoom(p *plan) string {
	return fmt.Sprintf("waits until the storage driver has room for %d snapshot(s); nothing is frozen", len(p.volumes))
}

// enter waits for room at the drivers, and says so where it has to wait.
func (r *VolumeBackupReconciler) enter(ctx context.Context, s *backupScope, p *plan) (leave func(), waited bool, err error) {
	if leave, ok := r.room.tryEnter(p.volumes); ok {
		return leave, false, nil
	}
	working(s.VolumeBackup, v1alpha1.ReasonWaitingForRoom, "%s", waitsForRoom(p))
	if err := r.save(ctx, s); err != nil {
		return nil, true, err
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	ctx, cancel := context.WithTimeoutCause(ctx, r.turnEnds(s).Sub(r.Clock.Now()), errNoTurn)
	defer cancel()
	stop, err := r.whenDeleted(ctx, s, func() { giveUp(errDeleted) })
	if err != nil {
		return nil, true, err
	}
	defer stop()
	if leave, err = r.room.enter(ctx, p.volumes); err != nil {
		err = context.Cause(ctx)
	}
	return leave, true, err
}

// occupy takes the pods that are to be quieted for this attempt alone: hooks
// of one backup would thaw the freeze of another. So it does the claims of a
// group: one label says which group each is of. It is not free where an
// attempt in this process has them, or one of an earlier manager that isn't
// thawed yet.
func (r *VolumeBackupReconciler) occupy(ctx context.Context, s *backupScope, p *plan) (leave func(), free bool, err error) {
	var pods []types.UID
	for _, t := range p.targets {
		pods = append(pods, t.UID)
	}
	taken := pods
	if p.groupClass != "" {
		taken = slices.Concat(pods, p.claimUIDs)
	}
	leave, free = r.room.occupy(taken)
	if !free || len(pods) == 0 {
		return leave, free, nil
	}
	var others v1alpha1.VolumeBackupList
	if err := r.List(ctx, &others, client.InNamespace(s.Namespace)); err != nil {
		leave()
		return nil, false, err
	}
	for i := range others.Items {
		if others.Items[i].UID != s.UID && mayHoldAny(&others.Items[i], pods) {
			leave()
			return nil, false, nil
		}
	}
	return leave, true, nil
}

// mayHoldAny is true for a backup with an open attempt on one of the pods.
func mayHoldAny(b *v1alpha1.VolumeBackup, pods []types.UID) bool {
	if snapshot.Ended(b) || !snapshot.Open(b.Status.Quiesce) {
		return false
	}
	for _, held := range b.Status.Quiesce.Pods {
		for _, uid := range pods {
			if held.UID == uid && !held.Thawed {
				return true
			}
		}
	}
	return false
}

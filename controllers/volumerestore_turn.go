package controllers

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// turnDelay is how often a restore looks whether its turn has come, should it
// not be told.
const turnDelay = 2 * time.Second

// awaitTurn lets one restore of an application work at a time: the first by
// age, or whoever is at work already. It says for which it waits.
func (r *VolumeRestoreReconciler) awaitTurn(ctx context.Context, s *restoreScope, target v1alpha1.ApplicationReference) (outcome, bool) {
	why, reason, err := r.busy(ctx, s, target)
	if err != nil {
		return again(err), true
	}
	if why == "" {
		return outcome{}, false
	}
	left := r.waitBegan(s).Add(r.Options.TurnTimeout).Sub(r.Clock.Now())
	if left <= 0 && s.Status.Strategy == "" {
		return r.fail(ctx, s, reason, "gave up waiting: it "+why), true
	}
	meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionStalled)
	s.working(r.Clock, reason, "%s", why)
	return waitFor(turnDelay), true
}

func (r *VolumeRestoreReconciler) waitBegan(s *restoreScope) time.Time {
	if s.Status.StartTime == nil {
		return r.Clock.Now()
	}
	return s.Status.StartTime.Time
}

// busy says which restore or backup works on the application.
func (r *VolumeRestoreReconciler) busy(ctx context.Context, s *restoreScope, target v1alpha1.ApplicationReference) (why, reason string, err error) {
	if s.Spec.Target.Strategy == v1alpha1.StrategyClaimsOnly {
		return "", "", nil
	}
	var restores v1alpha1.VolumeRestoreList
	if err := r.Live.List(ctx, &restores, client.InNamespace(s.Namespace)); err != nil {
		return "", "", err
	}
	for i := range restores.Items {
		other := &restores.Items[i]
		if other.UID != s.UID && r.sameApplication(ctx, other, target) && goesFirst(other, s.VolumeRestore) {
			return fmt.Sprintf("waits for VolumeRestore %s of the same application", other.Name), v1alpha1.ReasonRestoreUnderWay, nil
		}
	}
	why, err = r.backupUnderWay(ctx, s.Namespace, target)
	return why, v1alpha1.ReasonBackupUnderWay, err
}

// backupUnderWay says which backup has the application quieted, empty where
// none has.
func (r *VolumeRestoreReconciler) backupUnderWay(ctx context.Context, namespace string, target v1alpha1.ApplicationReference) (why string, err error) {
	var backups v1alpha1.VolumeBackupList
	if err := r.Live.List(ctx, &backups, client.InNamespace(namespace)); err != nil {
		return "", err
	}
	for i := range backups.Items {
		b := &backups.Items[i]
		if b.Spec.ApplicationRef == target && !snapshot.Ended(b) && snapshot.Open(b.Status.Quiesce) {
			return fmt.Sprintf("waits until VolumeBackup %s has let the application go", b.Name), nil
		}
	}
	return "", nil
}

// awaitBackup keeps a restore from stopping an application that is quieted for
// a backup, which may have begun while the claims were prepared.
func (r *VolumeRestoreReconciler) awaitBackup(ctx context.Context, s *restoreScope, next snapshot.RestoreStep) (outcome, bool) {
	if next != snapshot.StepScaleDown || s.Status.ScaledDownAt != nil {
		return outcome{}, false
	}
	why, err := r.backupUnderWay(ctx, s.Namespace, *s.Status.Application)
	if err != nil {
		return again(err), true
	}
	if why == "" {
		return outcome{}, false
	}
	s.working(r.Clock, v1alpha1.ReasonBackupUnderWay, "%s", why)
	return waitFor(turnDelay), true
}

// goesFirst is true for a restore that is at work, or that is next and older.
func goesFirst(other, mine *v1alpha1.VolumeRestore) bool {
	if other.Spec.Target.Strategy == v1alpha1.StrategyClaimsOnly || other.Status.Strategy == v1alpha1.StrategyClaimsOnly {
		return false
	}
	wants := asked(other)
	if snapshot.RestoreEnded(other) && !wants {
		return false
	}
	if working := !wants && other.Status.Strategy != ""; working {
		return true
	}
	a, b := other.CreationTimestamp, mine.CreationTimestamp
	return a.Before(&b) || a.Equal(&b) && other.Name < mine.Name
}

func (r *VolumeRestoreReconciler) sameApplication(ctx context.Context, other *v1alpha1.VolumeRestore, target v1alpha1.ApplicationReference) bool {
	if other.Status.Application != nil {
		return *other.Status.Application == target
	}
	if other.Spec.Target.ApplicationRef != nil {
		return *other.Spec.Target.ApplicationRef == target
	}
	var b v1alpha1.VolumeBackup
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: other.Namespace, Name: other.Spec.Source.VolumeBackupRef.Name}, &b)
	return err == nil && b.Spec.ApplicationRef == target
}

package restore

import (
	"context"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/restore"
)

// awaitExclusivity lets one restore of an application work at a time, and none
// while the application is quieted for a backup. It says for which it waits, and
// skips where it needn't wait.
func (w *run) awaitExclusivity(ctx context.Context, application v1alpha1.ApplicationReference) reconcile.Outcome {
	why, reason, err := w.busy(ctx, application)
	if err != nil {
		return reconcile.Retry(err)
	}
	if why == "" {
		return reconcile.Skip()
	}
	if w.waitBegan().Add(w.Options.ExclusivityTimeout).After(w.Now()) || w.Object.Status.Strategy != "" {
		w.Remove(v1alpha1.ConditionStalled)
		w.Working(reason, "%s", why)
		return reconcile.Wait(lookEvery)
	}
	return markFailed(w.scope, reason, "gave up waiting: it "+why)
}

func (w *run) waitBegan() time.Time {
	if at := w.Object.Status.StartTime; at != nil {
		return at.Time
	}
	return w.Now()
}

// busy says which restore or backup works on the application.
func (w *run) busy(ctx context.Context, application v1alpha1.ApplicationReference) (why, reason string, err error) {
	v := w.Object
	if v.Spec.Target.Strategy == v1alpha1.StrategyClaimsOnly {
		return "", "", nil
	}
	restores, err := w.live().Restores(ctx, v.Namespace)
	if err != nil {
		return "", "", err
	}
	of := func(other *v1alpha1.VolumeRestore) *v1alpha1.ApplicationReference { return w.applicationOf(ctx, other) }
	if why = restore.WaitsFor(v, application, restores, of); why != "" {
		return why, v1alpha1.ReasonRestoreUnderWay, nil
	}
	backups, err := w.live().Backups(ctx, v.Namespace)
	if err != nil {
		return "", "", err
	}
	if backup := restore.QuietedBy(application, backups); backup != "" {
		return restore.WaitsForBackup(backup), v1alpha1.ReasonBackupUnderWay, nil
	}
	return "", "", nil
}

// applicationOf is the application of a restore, nil where it can't be known: its
// backup isn't there.
func (w *run) applicationOf(ctx context.Context, v *v1alpha1.VolumeRestore) *v1alpha1.ApplicationReference {
	if v.Status.Application != nil {
		return v.Status.Application
	}
	if v.Spec.Target.ApplicationRef != nil {
		return v.Spec.Target.ApplicationRef
	}
	name := v.Status.Source
	if ref := v.Spec.Source.VolumeBackupRef; ref != nil {
		name = ref.Name
	}
	if name == "" || v.Spec.Source.Repository != nil {
		return nil // one that hasn't chosen yet, and comes here by itself
	}
	var b v1alpha1.VolumeBackup
	if err := w.Live.Get(ctx, client.ObjectKey{Namespace: v.Namespace, Name: name}, &b); err != nil {
		return nil
	}
	return &b.Spec.ApplicationRef
}

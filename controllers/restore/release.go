package restore

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/restore"
)

// releasePrevious lets go what a restore that has ended keeps, as asked, or says why
// it stays. No other restore works on the application meanwhile: it may be about to
// lead back there.
func (w *run) releasePrevious(ctx context.Context) reconcile.Outcome {
	v := w.Object
	if !restore.IsReleaseAsked(v) {
		return reconcile.Skip()
	}
	w.exclusive.Lock() // until it is let go
	defer w.exclusive.Unlock()
	if out := w.awaitExclusivity(ctx, *v.Status.Application); !out.Skipped() {
		return out
	}
	state, err := w.observe(ctx)
	if err != nil {
		return reconcile.Retry(err)
	}
	workloads, err := w.live().Workloads(ctx, v.Namespace)
	if err != nil {
		return reconcile.Retry(err)
	}
	changes, volumes, p := restore.ReleasePrevious(state, workloads)
	if p == nil {
		if err = w.letGo(ctx, changes); isRefusal(err) {
			p, err = v1alpha1.Problemf(v1alpha1.ReasonChangeRefused, "%v. Once that is allowed ask again (spec.releasePrevious: false, then true)", err), nil
		}
	}
	switch {
	case err != nil:
		return reconcile.Retry(err)
	case p != nil:
		refuseRelease(w.scope, p)
	default:
		markReleased(w.scope, restore.WhatReleased(volumes))
	}
	return reconcile.Failed(w.Save(ctx))
}

// letGo makes changes one after the other: nobody waits for them.
func (w *run) letGo(ctx context.Context, changes []restore.Change) error {
	for _, change := range changes {
		if _, err := judge(change, write(ctx, w.Client, change)); err != nil {
			return err
		}
	}
	return nil
}

// refuseRelease says why nothing is let go.
func refuseRelease(s *scope, p *v1alpha1.Problem) {
	s.Set(v1alpha1.ConditionPreviousReleased, false, p.Reason, "%s", p.Message)
	s.Set(v1alpha1.ConditionStalled, true, p.Reason, "%s", p.Message)
	s.RecordOnceSaved(eventReleaseRefused(p.Reason, p.Message))
}

func markReleased(s *scope, message string) {
	s.Set(v1alpha1.ConditionPreviousReleased, true, v1alpha1.ReasonReleased, "%s", message)
	s.Remove(v1alpha1.ConditionStalled)
	s.RecordOnceSaved(eventReleased(message))
}

// isReleaseWithdrawn is true where a release was refused that isn't asked any more.
func isReleaseWithdrawn(v *v1alpha1.VolumeRestore) bool {
	return !v.Spec.ReleasePrevious && condition(v, v1alpha1.ConditionPreviousReleased) != nil && !isTrue(v, v1alpha1.ConditionPreviousReleased)
}

// keptVolumes are those of the namespace that restores keep.
func (w *run) keptVolumes(ctx context.Context) ([]corev1.PersistentVolume, error) {
	var marked corev1.PersistentVolumeList
	err := w.Live.List(ctx, &marked, client.HasLabels{v1alpha1.LabelPrevious})
	return restore.KeptIn(w.Object.Namespace, marked.Items), err
}

package repository

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// rekey exchanges the password where the spec names another Secret than opened the
// repository last, and that one's doesn't open it.
func (w *run) rekey(ctx context.Context) reconcile.Outcome {
	r := w.Object
	if !isToBeRekeyed(r) {
		return reconcile.Skip()
	}
	in := w.job("rekey", lastLook(r), resticexport.Task{Rekey: &resticexport.Rekey{}})
	in.OldPassword = r.Status.PasswordSecretRef
	ran, err := w.Movers.Run(ctx, in, w.owner(), mover.Place{Kind: mover.Alone})
	switch {
	case err != nil:
		return reconcile.Failed(err)
	case !ran.Ended:
		w.Working(v1alpha1.ReasonRekeying, "gives the repository the password of Secret %s", r.Spec.PasswordSecretRef.Name)
		return reconcile.Wait(podDelay)
	case !ran.Result.Done:
		w.Set(v1alpha1.ConditionReady, false, v1alpha1.ReasonRekeyFailed, "the password could not be exchanged for that of Secret %s: %s: %s. The one of Secret %s opens the repository still, where it is as it was. It is tried again after the next look",
			r.Spec.PasswordSecretRef.Name, ran.Result.Cause, ran.Result.Message, in.OldPassword.Name)
		return w.done(ctx, in.Name)
	}
	w.RecordOnceSaved(eventRekeyed(in.OldPassword.Name, r.Spec.PasswordSecretRef.Name))
	r.Status.PasswordSecretRef = r.Spec.PasswordSecretRef.DeepCopy()
	r.Status.LastLookTime = nil // it is looked at anew
	return w.done(ctx, in.Name)
}

func isToBeRekeyed(r *v1alpha1.ResticRepository) bool {
	had := r.Status.PasswordSecretRef
	ready := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionReady)
	return had != nil && *had != r.Spec.PasswordSecretRef && ready != nil &&
		ready.Reason == string(resticexport.CauseWrongPassword) && ready.ObservedGeneration == r.Generation
}

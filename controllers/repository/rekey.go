package repository

import (
	"cmp"
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// rekey exchanges the password where the spec names another Secret than the one that
// is known to open the repository. Where that one's opens it already, an exchange may
// have died before the old password was taken away.
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
		w.Working(v1alpha1.ReasonRekeying, "the repository is given the password of Secret %s: %s", r.Spec.PasswordSecretRef.Name, cmp.Or(ran.Waits, "that is under way"))
		return reconcile.Wait(podDelay)
	case !ran.Result.Done:
		w.notRekeyed(ran.Result)
		return w.done(ctx, in.Name)
	}
	w.RecordOnceSaved(eventRekeyed(in.OldPassword.Name, r.Spec.PasswordSecretRef.Name))
	r.Status.PasswordSecretRef = r.Spec.PasswordSecretRef.DeepCopy()
	r.Status.LastLookTime = nil // it is looked at anew
	return w.done(ctx, in.Name)
}

// notRekeyed tells why the password could not be exchanged. It is tried again after
// the next look. A repository that the new one opens can be worked in meanwhile.
func (w *run) notRekeyed(result resticexport.Result) {
	r, stays := w.Object, "opens the repository still, where it is as it was"
	if w.Is(v1alpha1.ConditionReady) {
		stays = "may open the repository still, beside the new one"
	}
	message := fmt.Sprintf("the password could not be exchanged for that of Secret %s: %s: %s. The one of Secret %s %s. It is tried again after the next look",
		r.Spec.PasswordSecretRef.Name, result.Cause, result.Message, r.Status.PasswordSecretRef.Name, stays)
	w.Set(v1alpha1.ConditionReady, w.Is(v1alpha1.ConditionReady), v1alpha1.ReasonRekeyFailed, "%s", message)
	w.RecordOnceSaved(eventNotReady(v1alpha1.ReasonRekeyFailed, message))
}

// isToBeRekeyed is true once a look has seen that the new password opens nothing yet.
func isToBeRekeyed(r *v1alpha1.ResticRepository) bool {
	had := r.Status.PasswordSecretRef
	ready := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionReady)
	if had == nil || *had == r.Spec.PasswordSecretRef || ready == nil || ready.ObservedGeneration != r.Generation {
		return false
	}
	return ready.Reason == string(resticexport.CauseWrongPassword) || ready.Reason == v1alpha1.ReasonOpened
}

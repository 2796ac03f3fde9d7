package repository

import (
	"cmp"
	"context"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// tell writes what a look has come to.
func (w *run) tell(found resticexport.Found, result resticexport.Result) {
	status := &w.Object.Status
	now := metav1.NewTime(w.Now())
	status.LastLookTime = &now
	if seen := result.Repository; found.Ready && seen != nil {
		status.RepositoryID = seen.ID
		if status.PasswordSecretRef == nil { // another one is noted once the one before opens it no more
			status.PasswordSecretRef = w.Object.Spec.PasswordSecretRef.DeepCopy()
		}
		if recordContents(status, seen, now) {
			w.RecordOnceSaved(eventSnapshotsVanished(whatVanished(w.Object)))
		}
		if seen.Bytes > 0 {
			status.Size = resource.NewQuantity(seen.Bytes, resource.BinarySI)
		}
	}
	if was := w.Find(v1alpha1.ConditionReady); !found.Ready && !found.Init && (was == nil || was.Reason != found.Reason) {
		w.RecordOnceSaved(eventNotReady(found.Reason, found.Message))
	}
	w.Set(v1alpha1.ConditionReady, found.Ready, found.Reason, "%s", found.Message)
}

// rest waits for the next look.
func (w *run) rest(context.Context) reconcile.Outcome {
	w.AtRest(v1alpha1.ReasonOpened)
	return reconcile.Wait(w.untilLook())
}

// untilLook is how long it is until the next look, which something may be in the way
// of.
func (w *run) untilLook() time.Duration {
	return max(podDelay, resticexport.NextLook(w.Object, w.Now()).Sub(w.Now()))
}

func stalled(s *reconcile.Scope[*v1alpha1.ResticRepository], p *v1alpha1.Problem) reconcile.Outcome {
	s.Set(v1alpha1.ConditionReady, false, p.Reason, "%s", p.Message)
	s.AtRest(p.Reason)
	return reconcile.Done()
}

// summarize derives from the conditions what is for people.
func summarize(s *reconcile.Scope[*v1alpha1.ResticRepository]) {
	status := &s.Object.Status
	status.ObservedGeneration = s.Object.Generation
	status.Message = ""
	bad := func(kind string, wants metav1.ConditionStatus) *metav1.Condition {
		if c := s.Find(kind); c != nil && c.Status != wants {
			return c
		}
		return nil
	}
	wrong := cmp.Or(bad(v1alpha1.ConditionReady, metav1.ConditionTrue), bad(v1alpha1.ConditionStalled, metav1.ConditionFalse), bad(v1alpha1.ConditionHealthy, metav1.ConditionTrue), bad(v1alpha1.ConditionCopied, metav1.ConditionTrue))
	rekeying := bad(v1alpha1.ConditionReconciling, metav1.ConditionFalse)
	switch {
	case isToBeRekeyed(s.Object) && rekeying != nil && rekeying.Reason == v1alpha1.ReasonRekeying: // that the new password opens nothing yet is as it should be
		status.Message = reconcile.Shorten(rekeying.Reason + ": " + rekeying.Message)
	case wrong != nil:
		status.Message = reconcile.Shorten(wrong.Reason + ": " + wrong.Message)
	case s.Find(v1alpha1.ConditionReady) != nil && s.Find(v1alpha1.ConditionReady).Reason == v1alpha1.ReasonRekeyFailed:
		status.Message = reconcile.Shorten(v1alpha1.ReasonRekeyFailed + ": " + s.Find(v1alpha1.ConditionReady).Message)
	default:
		var failed []string
		for _, f := range status.FailedTasks {
			failed = append(failed, f.Task+": "+f.Message)
		}
		status.Message = reconcile.Shorten(strings.Join(failed, "; "))
	}
}

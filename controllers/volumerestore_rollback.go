package controllers

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// asked is true for a restore that its owner wants undone, and that isn't. One
// that failed to undo itself is tried once more when that is asked for, and one
// that was refused or failed as asked when it is asked for anew.
func asked(v *v1alpha1.VolumeRestore) bool {
	rb := v.Status.RollBack
	switch said := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionRolledBack); {
	case !v.Spec.RollBack || v.Status.Strategy == "" || said != nil && said.Status == metav1.ConditionTrue:
		return false
	case rb != nil && rb.EndedAt == nil:
		return false // under way
	case rb != nil && rb.Reason != v1alpha1.ReasonRollBackAsked:
		return true
	default:
		return said == nil || said.ObservedGeneration != v.Generation
	}
}

// rollBackAsAsked begins to undo a restore, or says why it can't be.
func (r *VolumeRestoreReconciler) rollBackAsAsked(ctx context.Context, s *restoreScope) outcome {
	if snapshot.RestoreEnded(s.VolumeRestore) {
		r.turn.Lock()
		defer r.turn.Unlock()
		if out, waits := r.awaitTurn(ctx, s, *s.Status.Application); waits {
			return out
		}
	}
	o, err := r.observe(ctx, s)
	if err != nil {
		return again(err)
	}
	if err := r.mayRollBack(ctx, s, o); err != nil {
		p := problemOf(err)
		if p == nil {
			return again(err)
		}
		return r.refuse(ctx, s, p.Reason, p.Message)
	}
	if w := o.Workload; w != nil && s.Status.Replicas != nil && snapshot.RestoreEnded(s.VolumeRestore) && (w.Replicas > 0 || s.is(v1alpha1.ConditionComplete)) {
		// Its owner may have scaled it since. One that isn't complete may be at
		// zero because of us.
		s.Status.Replicas, s.Status.Paused, s.Status.WasReady = &w.Replicas, w.Paused, w.Unready == ""
	}
	return r.rollBack(ctx, s, v1alpha1.ReasonRollBackAsked, "undone as asked by spec.rollBack")
}

// mayRollBack refuses what would not be an undoing.
func (r *VolumeRestoreReconciler) mayRollBack(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) error {
	if s.Status.Strategy == v1alpha1.StrategyClaimsOnly {
		return v1alpha1.Problemf(v1alpha1.ReasonNothingToRollBack, "this restore only made claims and touched no application: delete the claims where they aren't wanted (kubectl delete pvc -l %s=%s)", v1alpha1.LabelRestoreUID, s.UID)
	}
	if s.Status.ScaledDownAt == nil {
		return nil
	}
	previous := 0
	for i := range s.Status.Claims {
		c := &s.Status.Claims[i]
		if c.PreviousVolume == "" {
			continue
		}
		previous++
		if what := previousLost(s, c, o); what != "" {
			return v1alpha1.Problemf(v1alpha1.ReasonPreviousGone, "the previous volume %s of claim %s %s, so this restore can't be undone: restore from a backup of before", c.PreviousVolume, c.PreviousClaim, what)
		}
	}
	if previous == 0 {
		return v1alpha1.Problemf(v1alpha1.ReasonNothingToRollBack, "the application had no volumes before this restore: there is nothing to go back to")
	}
	if !snapshot.RestoreEnded(s.VolumeRestore) || s.is(v1alpha1.ConditionFailed) {
		return nil
	}
	if err := snapshot.CheckSwap(s.VolumeRestore, o); err != nil {
		return err
	}
	if w := o.Workload; w != nil && w.Pending && s.Status.Strategy == v1alpha1.StrategyRepoint {
		return v1alpha1.Problemf(v1alpha1.ReasonRolloutPaused,
			"the rollout of Deployment %s is paused and holds changes back, which a template that is pointed back would let go: resume it first (kubectl rollout resume deployment/%s), or take the changes back, and ask again (spec.rollBack: false, then true). Nothing was touched", w.Ref.Name, w.Ref.Name)
	}
	return r.notSuperseded(ctx, s, o)
}

// previousLost says what has become of a previous volume, empty where the
// application can have it back.
func previousLost(s *restoreScope, c *v1alpha1.RestoredClaim, o snapshot.RestoreObserved) string {
	v, claim := o.Volumes[c.PreviousVolume], o.Claims[c.PreviousClaim]
	repoints := s.Status.Strategy == v1alpha1.StrategyRepoint
	switch {
	case v == nil || repoints && claim == nil:
		return "is gone"
	case !v.DeletionTimestamp.IsZero() || repoints && !claim.DeletionTimestamp.IsZero():
		return "is being deleted"
	case snapshot.Keeper(s.VolumeRestore, c, v) != "":
		return "belongs to claim " + snapshot.Keeper(s.VolumeRestore, c, v) + " now"
	}
	return ""
}

// notSuperseded is nil where the application runs on what this restore gave
// it, or a later one that stands: then it is undone along with this one.
func (r *VolumeRestoreReconciler) notSuperseded(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) error {
	var all v1alpha1.VolumeRestoreList
	if err := r.Live.List(ctx, &all, client.InNamespace(s.Namespace)); err != nil {
		return err
	}
	for i := range s.Status.Claims {
		c := &s.Status.Claims[i]
		mounted := o.Workload == nil || c.TemporaryClaim == "" || o.Workload.MayMount(c.RestoredClaim)
		if mounted && snapshot.OnRestored(s.VolumeRestore, c, o) {
			continue
		}
		now := current(s.VolumeRestore, c, o)
		if !givenByLater(s.VolumeRestore, all.Items, now) {
			return v1alpha1.Problemf(v1alpha1.ReasonSuperseded,
				"the application no longer runs on %s, which this restore gave it, but on %s: undo or restore what put it there instead, or set it back and ask again (spec.rollBack: false, then true). Nothing was touched", leadsTo(s.VolumeRestore, c), orNothing(now))
		}
	}
	return nil
}

// current is what the application mounts now in the place of a claim.
func current(v *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, o snapshot.RestoreObserved) string {
	if v.Status.Strategy == v1alpha1.StrategyRepoint {
		return snapshot.CurrentClaim(v, c, o)
	}
	if o.Workload != nil && !o.Workload.MayMount(c.RestoredClaim) {
		return "another claim"
	}
	return snapshot.BoundVolume(v, c, o)
}

func leadsTo(v *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim) string {
	if v.Status.Strategy == v1alpha1.StrategyRepoint {
		return c.RestoredClaim
	}
	return c.RestoredVolume
}

func orNothing(name string) string {
	if name == "" {
		return "nothing"
	}
	return name
}

func givenByLater(mine *v1alpha1.VolumeRestore, all []v1alpha1.VolumeRestore, now string) bool {
	for i := range all {
		other := &all[i]
		stands := other.UID != mine.UID && other.Status.RollBack == nil && meta.IsStatusConditionTrue(other.Status.Conditions, v1alpha1.ConditionComplete)
		if !stands || other.Status.CompletionTime.Before(mine.Status.CompletionTime) {
			continue
		}
		for j := range other.Status.Claims {
			if now != "" && leadsTo(other, &other.Status.Claims[j]) == now {
				return true
			}
		}
	}
	return false
}

// refuse says why a restore isn't undone. It stays as it was.
func (r *VolumeRestoreReconciler) refuse(ctx context.Context, s *restoreScope, reason, message string) outcome {
	s.set(r.Clock, v1alpha1.ConditionRolledBack, false, reason, "%s", message)
	s.set(r.Clock, v1alpha1.ConditionStalled, true, reason, "%s", message)
	if err := r.save(ctx, s); err != nil {
		return again(err)
	}
	record(r.Events, s.VolumeRestore, eventRollBackRefused(reason, message))
	return goOn()
}

// withdraw forgets a refusal once nothing is asked any more, so that it can be
// asked again.
func (r *VolumeRestoreReconciler) withdraw(s *restoreScope) {
	if s.Spec.RollBack || s.Status.RollBack != nil || meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionRolledBack) == nil {
		return
	}
	meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionRolledBack)
	meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionStalled)
	if failed := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionFailed); failed != nil && failed.Status == metav1.ConditionTrue {
		s.set(r.Clock, v1alpha1.ConditionStalled, true, failed.Reason, "%s", failed.Message)
	}
}

// refuseRollBack says that a restore that has undone itself can't be undone
// again. Where nothing is asked it does nothing.
func (r *VolumeRestoreReconciler) refuseRollBack(ctx context.Context, s *restoreScope) outcome {
	if s.Spec.RollBack && s.Status.Strategy == "" {
		return r.refuseNothing(ctx, s)
	}
	rb := s.Status.RollBack
	if !s.Spec.RollBack || rb == nil || rb.Reason == v1alpha1.ReasonRollBackAsked || !s.is(v1alpha1.ConditionRolledBack) {
		return rest()
	}
	if c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionStalled); c != nil && c.Reason == v1alpha1.ReasonAlreadyRolledBack {
		return rest()
	}
	message := "this restore was rolled back already, so there is nothing to undo: " + rb.Message
	s.set(r.Clock, v1alpha1.ConditionStalled, true, v1alpha1.ReasonAlreadyRolledBack, "%s", message)
	record(r.Events, s.VolumeRestore, eventRollBackRefused(v1alpha1.ReasonAlreadyRolledBack, message))
	return rest()
}

// refuseNothing says that a restore which failed before it did anything has
// nothing to undo.
func (r *VolumeRestoreReconciler) refuseNothing(ctx context.Context, s *restoreScope) outcome {
	failed := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionFailed)
	told := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionRolledBack)
	if told != nil || failed == nil || failed.Reason == v1alpha1.ReasonNothingToRollBack {
		return rest()
	}
	return r.refuse(ctx, s, v1alpha1.ReasonNothingToRollBack, "nothing was restored, so there is nothing to undo: "+failed.Message)
}

// giveUp undoes a restore that can't go on, or leaves it where that is wanted.
// What failed while undoing needs a person.
func (r *VolumeRestoreReconciler) giveUp(ctx context.Context, s *restoreScope, reason, message string) outcome {
	if s.Status.RollBack != nil {
		s.set(r.Clock, v1alpha1.ConditionRolledBack, false, v1alpha1.ReasonRollBackFailed, "%s", message)
		return r.fail(ctx, s, v1alpha1.ReasonRollBackFailed, message+". "+byHandBack(s.VolumeRestore))
	}
	if s.Spec.OnFailure == v1alpha1.RestoreLeave && s.Status.ScaledDownAt != nil && s.DeletionTimestamp.IsZero() {
		return r.fail(ctx, s, reason, message+". It is left as it is; spec.rollBack: true undoes it")
	}
	return r.rollBack(ctx, s, reason, message)
}

// rollBack writes down that the restore is undone from here.
func (r *VolumeRestoreReconciler) rollBack(ctx context.Context, s *restoreScope, reason, message string) outcome {
	s.Status.RollBack = &v1alpha1.RollBackStatus{Reason: reason, Message: message, StartedAt: *microTime(r.Clock.Now())}
	s.Status.Step = ""
	meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionStalled)
	s.set(r.Clock, v1alpha1.ConditionRolledBack, false, v1alpha1.ReasonRollingBack, "%s", message)
	what := "goes back to the previous volumes: " + message
	if s.Status.ScaledDownAt == nil {
		what = "removes what was made, nothing was stopped: " + message
	}
	s.working(r.Clock, v1alpha1.ReasonRollingBack, "%s", what)
	if err := r.save(ctx, s); err != nil {
		return again(err)
	}
	if s.Status.Strategy != v1alpha1.StrategyClaimsOnly {
		record(r.Events, s.VolumeRestore, eventRollingBack(what))
	}
	return goOn()
}

// rolledBack ends the undoing of a restore. One that was complete stays so;
// one that wasn't has failed. One that only made claims has just failed: there
// was no application to bring back.
func (r *VolumeRestoreReconciler) rolledBack(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) outcome {
	rb := s.Status.RollBack
	if s.Status.Strategy == v1alpha1.StrategyClaimsOnly {
		s.Status.RollBack = nil
		meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionRolledBack)
		return r.fail(ctx, s, rb.Reason, rb.Message)
	}
	why := rb.Message
	message := "the application runs on its previous volumes: " + why
	switch {
	case s.Status.ScaledDownAt == nil:
		why = "nothing was stopped: " + why
		message = why
	case o.Workload == nil:
		message = "the application is gone, its previous claims and volumes are as they were: " + why
	}
	s.set(r.Clock, v1alpha1.ConditionRolledBack, true, v1alpha1.ReasonRolledBack, "%s", message)
	if s.Status.ScaledDownAt != nil {
		s.set(r.Clock, v1alpha1.ConditionSwapped, false, v1alpha1.ReasonRolledBack, "the claims lead to their previous volumes")
	}
	if !s.is(v1alpha1.ConditionComplete) {
		s.set(r.Clock, v1alpha1.ConditionFailed, true, rb.Reason, "%s", why)
		s.set(r.Clock, v1alpha1.ConditionComplete, false, rb.Reason, "%s", why)
	}
	meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionStalled)
	r.end(s)
	if err := r.save(ctx, s); err != nil {
		return again(err)
	}
	restoresTotal.WithLabelValues(string(v1alpha1.RestoreRolledBack), string(s.Status.Strategy)).Inc()
	record(r.Events, s.VolumeRestore, eventRolledBack(message))
	if !s.is(v1alpha1.ConditionComplete) {
		record(r.Events, s.VolumeRestore, eventRestoreFailed(why))
	}
	return rest()
}

// byHandBack is what a person does where going back failed.
func byHandBack(v *v1alpha1.VolumeRestore) string {
	if v.Status.ScaledDownAt == nil {
		return fmt.Sprintf("Nothing was stopped. What it made and could not remove: kubectl get pvc,pv -A -l %s=%s", v1alpha1.LabelRestoreUID, v.UID)
	}
	var volumes []string
	for _, c := range v.Status.Claims {
		if c.PreviousVolume != "" {
			volumes = append(volumes, fmt.Sprintf("%s (claim %s)", c.PreviousVolume, c.PreviousClaim))
		}
	}
	had := int32(0)
	if v.Status.Replicas != nil {
		had = *v.Status.Replicas
	}
	return fmt.Sprintf("Nothing is lost: the previous volumes are kept: %s. The application had %d replica(s): kubectl scale -n %s %s/%s --replicas=%d. docs/restore.md says how to go back by hand. To have it tried again once that is mended: spec.rollBack: false, then true",
		strings.Join(volumes, ", "), had, v.Namespace, strings.ToLower(string(v.Status.Application.Kind)), v.Status.Application.Name, had)
}

package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// lookEvery bounds a wait that a watch should end earlier.
const lookEvery = 2 * time.Second

// notReplaceable waits for what may pass, such as another tool's snapshot of a
// claim, as long as claims are waited for. The application runs.
func (r *VolumeRestoreReconciler) notReplaceable(ctx context.Context, s *restoreScope, err error) outcome {
	p := problemOf(err)
	if p == nil || !p.Passing || r.provenLeft(s) <= 0 {
		return r.stuck(ctx, s, err)
	}
	s.working(r.Clock, p.Reason, "%s; the application runs", p.Message)
	return waitFor(lookEvery)
}

// provenLeft is how long a restore whose claims are proven may still wait
// before it stops the application.
func (r *VolumeRestoreReconciler) provenLeft(s *restoreScope) time.Duration {
	proven := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionClaimsReady)
	if proven == nil {
		return 0
	}
	return proven.LastTransitionTime.Add(r.Options.ClaimTimeout).Sub(r.Clock.Now())
}

// scaleDown tells the application to stop. How many replicas it had is in the
// status.
func (r *VolumeRestoreReconciler) scaleDown(ctx context.Context, o snapshot.RestoreObserved) outcome {
	if o.Workload == nil || o.Workload.Replicas == 0 {
		return goOn()
	}
	if err := r.scale(ctx, o.Workload, 0); err != nil {
		return again(err)
	}
	return goOn()
}

// awaitGone waits until all pods are gone, not only until none is wanted: two
// must never write to one volume. A pod that hangs is never forced.
func (r *VolumeRestoreReconciler) awaitGone(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) outcome {
	since := s.Status.ScaledDownAt
	if rb := s.Status.RollBack; rb != nil {
		since = cmp.Or(rb.ScaledDownAt, &rb.StartedAt)
	}
	var names []string
	grace := time.Duration(0)
	for i := range o.Pods {
		names = append(names, o.Pods[i].Name)
		grace = max(grace, time.Duration(ptr.Deref(o.Pods[i].Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds))*time.Second)
	}
	slices.Sort(names)
	left := since.Add(grace + s.Spec.ReadyTimeout.Duration).Sub(r.Clock.Now())
	message := "waits until these pods are gone: " + strings.Join(names, ", ")
	if left <= 0 {
		return r.podsHang(ctx, s, o, names)
	}
	s.set(r.Clock, v1alpha1.ConditionScaledDown, false, v1alpha1.ReasonPodsRemain, "%s", message)
	s.working(r.Clock, string(snapshot.StepAwaitGone), "%s", message)
	return waitFor(min(left, lookEvery))
}

// podsHang gives up waiting for pods. An application that has its previous
// volumes, because nothing was swapped yet, is started again beside them: it
// would stay down for as long as they hang.
func (r *VolumeRestoreReconciler) podsHang(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved, names []string) outcome {
	message := fmt.Sprintf("pod(s) %s hang and were not forced, since on a lost node that ruins data: kubectl describe pod -n %s %s says what holds them",
		strings.Join(names, ", "), s.Namespace, names[0])
	if rb := s.Status.RollBack; rb != nil && snapshot.SwappedBack(s.VolumeRestore, o) {
		rb.ScaledUpAt = microTime(r.Clock.Now())
		rb.Message += "; it was started again although " + message
		return goOn() // the next step's intent is written together with this
	}
	return r.giveUp(ctx, s, v1alpha1.ReasonPodsRemain, message)
}

// scaleUp tells the application to start, with what it had.
func (r *VolumeRestoreReconciler) scaleUp(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) outcome {
	if o.Workload == nil || s.Status.Replicas == nil || o.Workload.Replicas == *s.Status.Replicas {
		return goOn()
	}
	if err := r.scale(ctx, o.Workload, *s.Status.Replicas); err != nil {
		return again(err)
	}
	return goOn()
}

// awaitReadyAgain waits until the application is ready for what it was told
// last. Where it isn't in time, the restore is undone.
func (r *VolumeRestoreReconciler) awaitReadyAgain(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) outcome {
	began := s.Status.ScaledUpAt
	if s.Status.RollBack != nil {
		began = s.Status.RollBack.ScaledUpAt
	}
	if o.Workload == nil || o.Workload.Unready == "" {
		return r.readyAgain(ctx, s, o)
	}
	message := "waits until the application is ready: " + o.Workload.Unready
	trouble := troubleOf(o.Pods)
	if trouble != "" {
		message += "; " + trouble
	}
	limit := readyLimit(s)
	left := began.Add(limit).Sub(r.Clock.Now())
	if left > 0 {
		s.set(r.Clock, v1alpha1.ConditionApplicationReady, false, v1alpha1.ReasonNotReady, "%s", message)
		s.working(r.Clock, string(snapshot.StepAwaitStart), "%s", message)
		return waitFor(min(left, lookEvery))
	}
	if s.Status.RollBack != nil && !s.Status.WasReady {
		return r.readyAgain(ctx, s, o) // it wasn't before either
	}
	return r.giveUp(ctx, s, v1alpha1.ReasonReadyTimeout, fmt.Sprintf("the application was not ready within %s: %s", limit, strings.TrimPrefix(message, "waits until the application is ready: ")))
}

// backLimit is how long an application may take at least that is given back
// what it was ready on: nothing would be tried after that, so an owner's short
// readyTimeout, which is about the new data, would only raise a false alarm.
const backLimit = 2 * time.Minute

func readyLimit(s *restoreScope) time.Duration {
	if s.Status.RollBack != nil && s.Status.WasReady {
		return max(backLimit, s.Spec.ReadyTimeout.Duration)
	}
	return s.Spec.ReadyTimeout.Duration
}

// troubleOf is what keeps the first pod that isn't ready from being so.
func troubleOf(pods []corev1.Pod) string {
	for i := range pods {
		if rank(&pods[i]) > 0 {
			return fmt.Sprintf("pod %s: %s", pods[i].Name, podTrouble(&pods[i]))
		}
	}
	return ""
}

func (r *VolumeRestoreReconciler) readyAgain(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) outcome {
	now := r.Clock.Now()
	message := "the application is ready"
	isReady := o.Workload != nil && o.Workload.Unready == ""
	if !isReady {
		message = "the application isn't ready, nor was it before"
	}
	from := s.Status.ScaledDownAt
	if rb := s.Status.RollBack; rb != nil {
		rb.ReadyAt = microTime(now)
		if s.is(v1alpha1.ConditionComplete) && rb.ScaledDownAt != nil {
			from = rb.ScaledDownAt
		}
	}
	if isReady && ptr.Deref(s.Status.Replicas, 0) > 0 {
		down := now.Sub(from.Time).Round(time.Millisecond)
		downtimeSeconds.Observe(down.Seconds())
		message += fmt.Sprintf(", it was down for %s", down)
		if s.Status.RollBack == nil || s.Status.Downtime == nil {
			s.Status.Downtime = &metav1.Duration{Duration: down}
		}
	}
	s.set(r.Clock, v1alpha1.ConditionApplicationReady, isReady || s.Status.RollBack == nil, v1alpha1.ReasonApplicationReady, "%s", message)
	if err := r.save(ctx, s); err != nil {
		return again(err)
	}
	return goOn()
}

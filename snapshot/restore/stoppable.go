package restore

import (
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// What doesn't let an application be stopped and started by its replicas is looked
// for when a restore is resolved, again right before the stop, which may be hours
// later, and before a way back that is asked for: what was set aside for the
// restore may be as it was by then.

// unstoppable is what stands in the way of stopping the application, nil where
// nothing does.
func unstoppable(s *State) *v1alpha1.Problem {
	if s.Workload == nil {
		return nil
	}
	for _, p := range []*v1alpha1.Problem{stays(s.Workload), keepsClaims(s.Workload), stepsAside(s.Workload, s.Autoscalers)} {
		if p != nil {
			return p
		}
	}
	return nil
}

// checkStoppable looks right before the stop.
func checkStoppable(s *State) Need {
	return Need{Problem: advised(unstoppable(s), "Then restore again")}
}

// UnstoppableBack is why an application that runs isn't stopped for a way back that
// is asked for, nil where it is.
func UnstoppableBack(s *State) *v1alpha1.Problem {
	return advised(unstoppable(s), "Then ask again (spec.rollBack: false, then true). Nothing was touched")
}

func stays(w *workload.Workload) *v1alpha1.Problem {
	if w.Meta.DeletionTimestamp.IsZero() {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonApplicationNotFound, "%s is being deleted", named(w))
}

func keepsClaims(w *workload.Workload) *v1alpha1.Problem {
	if !w.DeletesClaims {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonClaimsScaledAway,
		"%s deletes the claims of replicas that it scales down, and a restore scales down: set its spec.persistentVolumeClaimRetentionPolicy.whenScaled to Retain, and back afterwards", named(w))
}

// stepsAside refuses an autoscaler that doesn't step aside while there are no
// replicas: Kubernetes scales from zero only where the autoscaler's minimum is zero
// (https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/), KEDA
// always does.
func stepsAside(w *workload.Workload, all []autoscalingv2.HorizontalPodAutoscaler) *v1alpha1.Problem {
	for _, h := range autoscalersOf(w, all) {
		if owner, ok := isOwnedBy(&h, "ScaledObject"); ok {
			return v1alpha1.Problemf(v1alpha1.ReasonAutoscalerFights,
				"KEDA's ScaledObject %s scales %s from zero, against the restore: pause it with the annotation autoscaling.keda.sh/paused, and remove that afterwards", owner, named(w))
		}
		if ptr.Deref(h.Spec.MinReplicas, 1) == 0 {
			return v1alpha1.Problemf(v1alpha1.ReasonAutoscalerFights,
				"HorizontalPodAutoscaler %s scales %s from zero, against the restore: set its spec.minReplicas to 1, and back afterwards", h.Name, named(w))
		}
	}
	return nil
}

func autoscalersOf(w *workload.Workload, all []autoscalingv2.HorizontalPodAutoscaler) []autoscalingv2.HorizontalPodAutoscaler {
	return slices.DeleteFunc(slices.Clone(all), func(h autoscalingv2.HorizontalPodAutoscaler) bool {
		return h.Spec.ScaleTargetRef.Kind != string(w.Ref.Kind) || h.Spec.ScaleTargetRef.Name != w.Ref.Name
	})
}

package restore

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// checkRevision refuses to stop an application whose pods would come back from
// another template than they run: that is a rollout which its owner, or
// Kubernetes, holds back, and no way back would undo it. It may pass: a rollout
// comes to its end.
//
// Of a rollout that is under way only pods that are ready count: one that isn't
// has nothing to lose, and a restore may be what mends it.
func checkRevision(w *workload.Workload, pods []corev1.Pod, strategy v1alpha1.RestoreStrategy) *v1alpha1.Problem {
	if w == nil || w.Replicas == 0 {
		return nil
	}
	if w.IsUnseen {
		return v1alpha1.PassingProblemf(v1alpha1.ReasonRevisionHeld,
			"the controller of %s has not seen its newest change yet: wait until it has", named(w))
	}
	var held, rolling []string
	for _, p := range w.Outdated(pods, strategy == v1alpha1.StrategyRepoint) {
		switch {
		case w.IsHeldBack(&p):
			held = append(held, p.Name)
		case workload.IsReady(&p):
			rolling = append(rolling, p.Name)
		}
	}
	switch {
	case len(held) > 0:
		return heldBack(w, held)
	case len(rolling) > 0:
		return v1alpha1.PassingProblemf(v1alpha1.ReasonRevisionHeld,
			"the rollout of %s is under way: a stop would let it go at once to pod(s) %s too, which are ready on the revision before, and going back would not undo that. Wait until it is complete (kubectl rollout status %s), or take the change back (kubectl rollout undo %s)",
			named(w), strings.Join(rolling, ", "), typed(w), typed(w))
	}
	return nil
}

// heldBack says what holds a change back, and how to let it go, or take it
// back.
func heldBack(w *workload.Workload, pods []string) *v1alpha1.Problem {
	remade, undo, edit := "kubectl delete pod "+strings.Join(pods, " "), "kubectl rollout undo "+typed(w), "kubectl edit "+typed(w)
	reason, by, letGo, takeBack := v1alpha1.ReasonRevisionHeld, "since it never replaces one by itself", remade, edit
	switch o := w.Object.(type) {
	case *appsv1.StatefulSet:
		by, letGo, takeBack = "by its update strategy OnDelete", remade, undo
		if n := workload.UpdatePartition(o); o.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType {
			by = fmt.Sprintf("by its partition %d, which Kubernetes forgets while there are no replicas", n)
			letGo = fmt.Sprintf(`kubectl patch %s --type=merge -p '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}'`, typed(w))
		}
	case *appsv1.Deployment:
		reason, by = v1alpha1.ReasonRolloutPaused, "by a rollout that is paused half way"
		letGo, takeBack = "kubectl rollout resume "+typed(w), edit
	}
	return v1alpha1.Problemf(reason,
		"%s holds a change of its pod template back from pod(s) %s, %s: a stop would let it go, and going back would not undo that. Let it go first (%s), or take it back (%s)",
		named(w), strings.Join(pods, ", "), by, letGo, takeBack)
}

// named is a workload for people: StatefulSet db.
func named(w *workload.Workload) string { return applicationName(&w.Ref) }

// typed is a workload as kubectl takes it: statefulset/db.
func typed(w *workload.Workload) string {
	return strings.ToLower(string(w.Ref.Kind)) + "/" + w.Ref.Name
}

// advised is a problem with what to do once it is mended.
func advised(p *v1alpha1.Problem, then string) *v1alpha1.Problem {
	if p == nil {
		return nil
	}
	return &v1alpha1.Problem{Reason: p.Reason, Message: p.Message + ". " + then, Passing: p.Passing}
}

package workload

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// IsFinished is true for a pod that will run no more.
func IsFinished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// IsReady is true for a pod that says so.
func IsReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// HasVolumes is true for a pod whose volumes are mounted: its containers start or
// run. Kubernetes tells it from 1.29 on.
func HasVolumes(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReadyToStartContainers && c.Status == corev1.ConditionTrue
	})
}

// Unfinished are the pods that run or may run.
func Unfinished(pods []corev1.Pod) []corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool { return IsFinished(&p) })
}

// Partition parts pods into those that belong and the others.
func Partition(pods []corev1.Pod, belongs func(*corev1.Pod) bool) (own, others []corev1.Pod) {
	for i := range pods {
		if belongs(&pods[i]) {
			own = append(own, pods[i])
		} else {
			others = append(others, pods[i])
		}
	}
	return own, others
}

// Mounts is true for a pod that has one of the claims mounted, or may soon, or
// had: it has a node. Such a pod protects the claim, even when it has finished.
func Mounts(p *corev1.Pod, claims ...string) bool {
	return p.Spec.NodeName != "" && containsAny(claims, ClaimsOf(p))
}

// IsMountedOn is true for a claim that a pod which runs, or may run, mounts on a
// node.
func IsMountedOn(node, claim string, pods []corev1.Pod) bool {
	return slices.ContainsFunc(pods, func(p corev1.Pod) bool {
		return p.Spec.NodeName == node && !IsFinished(&p) && Mounts(&p, claim)
	})
}

// Node is where the first of the pods that mount one of the claims runs, empty
// where none does.
func Node(pods []corev1.Pod, claims ...string) string {
	for i := range pods {
		if Mounts(&pods[i], claims...) {
			return pods[i].Spec.NodeName
		}
	}
	return ""
}

func containsAny(of, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(of, name) })
}

package workload

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Departure is a pod that has left the API, as it was last seen there.
type Departure struct {
	Namespace, Pod, Node string
	UID                  types.UID
	// Claims that it mounted.
	Claims []string
	// At is when it was seen to leave.
	At time.Time
	// HasEnded is true where its node had said that its containers have ended.
	// A pod that is deleted by force, or with a grace period of zero, leaves at
	// once, and its processes may run on for long.
	HasEnded bool
}

// DepartureOf is the departure of a pod.
func DepartureOf(p *corev1.Pod, at time.Time) Departure {
	return Departure{
		Namespace: p.Namespace, Pod: p.Name, Node: p.Spec.NodeName, UID: p.UID,
		Claims: ClaimsOf(p), At: at, HasEnded: HasEnded(p),
	}
}

// HasEnded is true for a pod whose node has said that all its containers have
// ended, or that never had a node. The phase alone doesn't tell: Kubernetes
// itself sets it to Failed for the pods of a node that doesn't answer
// (k8s.io/kubernetes, pkg/controller/podgc), and leaves their containers as
// they were last seen.
func HasEnded(p *corev1.Pod) bool {
	if p.Spec.NodeName == "" {
		return true
	}
	all := slices.Concat(p.Status.ContainerStatuses, p.Status.InitContainerStatuses, p.Status.EphemeralContainerStatuses)
	mayRun := func(c corev1.ContainerStatus) bool {
		neverRan := c.State.Running == nil && c.ContainerID == "" && c.RestartCount == 0
		return c.State.Terminated == nil && !neverRan
	}
	return IsFinished(p) && len(all) > 0 && !slices.ContainsFunc(all, mayRun)
}

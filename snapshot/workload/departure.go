package workload

import (
	"slices"
	"strings"
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
// ended or that it didn't take it, or that never had a node. The phase alone doesn't tell: Kubernetes
// itself sets it to Failed for the pods of a node that doesn't answer
// (k8s.io/kubernetes, pkg/controller/podgc), and leaves their containers as
// they were last seen.
func HasEnded(p *corev1.Pod) bool {
	if p.Spec.NodeName == "" || wasRejected(p) {
		return true
	}
	all := statusesOf(p)
	mayRun := func(c corev1.ContainerStatus) bool {
		neverRan := c.State.Running == nil && c.ContainerID == "" && c.RestartCount == 0
		return c.State.Terminated == nil && !neverRan
	}
	return IsFinished(p) && len(all) > 0 && !slices.ContainsFunc(all, mayRun)
}

// wasRejected is true for a pod that its node didn't take, for lack of room, say:
// nothing of it has run there. The node's own words tell it from a pod that
// somebody else calls failed before its node has said anything
// (k8s.io/kubernetes, pkg/kubelet, rejectPod). A node that may have run the pod
// before doesn't call it failed until that has ended (pkg/kubelet/status,
// mergePodStatus).
func wasRejected(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed && len(statusesOf(p)) == 0 && strings.HasPrefix(p.Status.Message, "Pod was rejected: ")
}

func statusesOf(p *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(p.Status.ContainerStatuses, p.Status.InitContainerStatuses, p.Status.EphemeralContainerStatuses)
}

package resticexport

import (
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// PodResult is the result of a mover's pod. It is false while the pod still runs.
// Where the container left none, the cause is read from how it ended: out of
// memory, or by what ended the pod.
func PodResult(pod *corev1.Pod) (Result, bool) {
	for i := range pod.Status.ContainerStatuses {
		c := &pod.Status.ContainerStatuses[i]
		if c.Name != Container || c.State.Terminated == nil {
			continue
		}
		if result, err := ReadResult(c.State.Terminated.Message); err == nil {
			return result, true
		}
		return withoutResult(pod, c.State.Terminated), true
	}
	if pod.Status.Phase == corev1.PodFailed {
		return Result{Cause: CauseInterrupted, Message: Truncate(cmp.Or(pod.Status.Message, pod.Status.Reason, "the pod failed before it ran"), MaxMessage)}, true
	}
	return Result{}, false
}

// Codes of a process that was killed, by SIGKILL and SIGTERM.
const (
	exitKilled     = 128 + 9
	exitTerminated = 128 + 15
)

func withoutResult(pod *corev1.Pod, ended *corev1.ContainerStateTerminated) Result {
	r := Result{ExitCode: int(ended.ExitCode), Message: Truncate(cmp.Or(pod.Status.Message, ended.Message), MaxMessage)}
	switch {
	case ended.Reason == "OOMKilled":
		r.Cause = CauseOutOfMemory
		r.Message = "the mover took more memory than its limit: raise spec.mover.resources.limits.memory of the repository"
	case pod.Status.Reason != "", ended.ExitCode == exitKilled, ended.ExitCode == exitTerminated:
		r.Cause = CauseInterrupted
		r.Message = cmp.Or(r.Message, pod.Status.Reason, "the mover was killed")
	default:
		r.Cause = CauseFailed
		r.Message = cmp.Or(r.Message, fmt.Sprintf("the mover ended with code %d and left no result: %s", ended.ExitCode, ended.Reason))
	}
	return r
}

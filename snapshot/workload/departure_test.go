package workload

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestHasEnded(t *testing.T) {
	running := corev1.ContainerStatus{ContainerID: "1", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	ended := corev1.ContainerStatus{ContainerID: "1", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}
	never := corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}
	again := corev1.ContainerStatus{RestartCount: 1, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}
	type statuses = []corev1.ContainerStatus
	for name, c := range map[string]struct {
		phase   corev1.PodPhase
		node    string
		says    string
		main    statuses
		sidecar statuses
		want    bool
	}{
		"never had a node":                       {phase: corev1.PodPending, want: true},
		"its node has said nothing yet":          {phase: corev1.PodPending, node: "n"},
		"runs":                                   {phase: corev1.PodRunning, node: "n", main: statuses{running}},
		"has ended":                              {phase: corev1.PodFailed, node: "n", main: statuses{ended, ended}, want: true},
		"has ended, and one never ran":           {phase: corev1.PodFailed, node: "n", main: statuses{never}, sidecar: statuses{ended}, want: true},
		"one of two runs":                        {phase: corev1.PodRunning, node: "n", main: statuses{ended, running}},
		"its sidecar runs":                       {phase: corev1.PodRunning, node: "n", main: statuses{ended}, sidecar: statuses{running}},
		"called failed by another than its node": {phase: corev1.PodFailed, node: "n", main: statuses{running}},
		"about to be started again":              {phase: corev1.PodFailed, node: "n", main: statuses{again}},
		"ended, but its node may start it again": {phase: corev1.PodRunning, node: "n", main: statuses{ended}},
		"called failed before its node spoke":    {phase: corev1.PodFailed, node: "n"},
		"called so by another, for a reason":     {phase: corev1.PodFailed, node: "n", says: "Node n which was running pod p is unresponsive"},
		"its node didn't take it":                {phase: corev1.PodFailed, node: "n", says: "Pod was rejected: Node didn't have enough resource: cpu", want: true},
		"it ran before its node didn't take it":  {phase: corev1.PodFailed, node: "n", says: "Pod was rejected: Node didn't have enough resource: cpu", main: statuses{running}},
	} {
		p := &corev1.Pod{}
		p.Spec.NodeName, p.Status.Phase, p.Status.Message = c.node, c.phase, c.says
		p.Status.ContainerStatuses, p.Status.InitContainerStatuses = c.main, c.sidecar
		if got := HasEnded(p); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

package workload

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// LeastReady is the least time that n replicas take from their start until the
// workload counts them as ready, whatever they do: what its own settings make
// them wait. why names those, empty where there are none.
//
//	a pod        the initial delays of its probes ─ the successes that its
//	             readiness needs ─ minReadySeconds
//	a set whose  that, for one replica after the other: a StatefulSet that is
//	pods start   OrderedReady starts the next once one is available
//	in turn
//
// Only what is certain counts. A startup probe's failureThreshold is the most
// that a pod may take, not the least, and a progress deadline ends no pod
// (https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-probes).
func (w *Workload) LeastReady(n int32) (least time.Duration, why string) {
	var reasons []string
	delay := probeDelay(&w.Template.Spec)
	if delay > 0 {
		reasons = append(reasons, fmt.Sprintf("its probes wait %s", delay))
	}
	if w.MinReadySeconds > 0 {
		reasons = append(reasons, fmt.Sprintf("minReadySeconds: %d", w.MinReadySeconds))
	}
	least = delay + time.Duration(w.MinReadySeconds)*time.Second
	if n == 0 || least == 0 {
		return 0, ""
	}
	if turns := w.Turns(n); turns > 1 {
		least *= time.Duration(turns)
		reasons = append(reasons, fmt.Sprintf("%d replicas start one after the other", turns))
	}
	return least, strings.Join(reasons, ", ")
}

// Turns is how many of n replicas start, or stop, one after the other.
func (w *Workload) Turns(n int32) int32 {
	if w.IsOrdered {
		return max(1, n)
	}
	return 1
}

// probeDelay is the least time from the start of a pod until its probes may
// say that it is ready. A sidecar's startup probe holds up what comes after it.
func probeDelay(spec *corev1.PodSpec) time.Duration {
	var started, ready time.Duration
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		if ptr.Deref(c.RestartPolicy, "") != corev1.ContainerRestartPolicyAlways {
			continue // it has no probes
		}
		ready = max(ready, started+readyDelay(c))
		started += initialDelay(c.StartupProbe)
	}
	for i := range spec.Containers {
		ready = max(ready, started+readyDelay(&spec.Containers[i]))
	}
	return ready
}

// readyDelay is the least time from the start of a container until it is ready.
// Both delays are counted from there.
func readyDelay(c *corev1.Container) time.Duration {
	least := max(initialDelay(c.StartupProbe), initialDelay(c.ReadinessProbe))
	if p := c.ReadinessProbe; p != nil && p.SuccessThreshold > 1 {
		least += seconds((p.SuccessThreshold - 1) * max(1, p.PeriodSeconds))
	}
	return least
}

func initialDelay(p *corev1.Probe) time.Duration {
	if p == nil {
		return 0
	}
	return seconds(p.InitialDelaySeconds)
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

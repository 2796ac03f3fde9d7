package workload

import (
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// delayed is a probe that begins after so many seconds.
func delayed(seconds int32) *corev1.Probe { return &corev1.Probe{InitialDelaySeconds: seconds} }

func TestLeastReady(t *testing.T) {
	deployment := func(minReady int32, spec corev1.PodSpec) *Workload {
		d := &appsv1.Deployment{}
		d.Spec.MinReadySeconds, d.Spec.Template.Spec = minReady, spec
		return Of(d, nil)
	}
	set := func(policy appsv1.PodManagementPolicyType, minReady int32, spec corev1.PodSpec) *Workload {
		s := &appsv1.StatefulSet{}
		s.Spec.PodManagementPolicy, s.Spec.MinReadySeconds, s.Spec.Template.Spec = policy, minReady, spec
		return Of(s, nil)
	}
	replicaSet := &appsv1.ReplicaSet{}
	replicaSet.Spec.MinReadySeconds = 7
	containers := func(c ...corev1.Container) corev1.PodSpec { return corev1.PodSpec{Containers: c} }
	sidecar := func(c corev1.Container) corev1.Container {
		c.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		return c
	}
	slow := containers(corev1.Container{ReadinessProbe: delayed(10)})
	for name, c := range map[string]struct {
		workload *Workload
		replicas int32
		want     time.Duration
		says     string
	}{
		"no settings":               {deployment(0, corev1.PodSpec{}), 3, 0, ""},
		"no replicas":               {deployment(40, slow), 0, 0, ""},
		"minReadySeconds":           {deployment(40, corev1.PodSpec{}), 3, 40 * time.Second, "minReadySeconds: 40"},
		"of a ReplicaSet":           {Of(replicaSet, nil), 3, 7 * time.Second, "minReadySeconds: 7"},
		"both":                      {deployment(40, slow), 3, 50 * time.Second, "its probes wait 10s, minReadySeconds: 40"},
		"a set in turn":             {set("", 40, slow), 3, 150 * time.Second, "3 replicas start one after the other"},
		"a set in turn, by name":    {set(appsv1.OrderedReadyPodManagement, 40, slow), 1, 50 * time.Second, "minReadySeconds: 40"},
		"a set at once":             {set(appsv1.ParallelPodManagement, 40, slow), 3, 50 * time.Second, ""},
		"the slowest container":     {deployment(0, containers(corev1.Container{ReadinessProbe: delayed(5)}, corev1.Container{StartupProbe: delayed(9)})), 1, 9 * time.Second, ""},
		"both probes, side by side": {deployment(0, containers(corev1.Container{ReadinessProbe: delayed(8), StartupProbe: delayed(5)})), 1, 8 * time.Second, ""},
		"a most is no least": {deployment(0, containers(corev1.Container{
			StartupProbe: &corev1.Probe{FailureThreshold: 100, PeriodSeconds: 10},
		})), 1, 0, ""},
		"successes that it needs": {deployment(0, containers(corev1.Container{
			ReadinessProbe: &corev1.Probe{InitialDelaySeconds: 1, SuccessThreshold: 3, PeriodSeconds: 20},
		})), 1, 41 * time.Second, ""},
		"a liveness probe": {deployment(0, containers(corev1.Container{LivenessProbe: delayed(90)})), 1, 0, ""},
		"sidecars hold up what comes after": {deployment(0, corev1.PodSpec{
			InitContainers: []corev1.Container{sidecar(corev1.Container{StartupProbe: delayed(6)}), sidecar(corev1.Container{StartupProbe: delayed(4)})},
			Containers:     []corev1.Container{{ReadinessProbe: delayed(5)}},
		}), 1, 15 * time.Second, ""},
		"a sidecar that is ready late": {deployment(0, corev1.PodSpec{
			InitContainers: []corev1.Container{sidecar(corev1.Container{ReadinessProbe: delayed(30)})},
		}), 1, 30 * time.Second, ""},
	} {
		least, why := c.workload.LeastReady(c.replicas)
		if least != c.want || !strings.Contains(why, c.says) || (why == "") != (c.want == 0) {
			t.Errorf("%s: got %s because of %q, want %s because of %q", name, least, why, c.want, c.says)
		}
	}
}

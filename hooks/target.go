package hooks

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Target is one pod that is to be quieted, and how.
type Target struct {
	Namespace, Pod string
	UID            types.UID
	// Mark of the attempt that quiets it.
	Mark   Mark
	Method v1alpha1.QuiesceMethod
	Hold   Command
	// Stills is what the held session keeps still, Recipe the name of the recipe
	// that it is; both as in QuiescePlan.
	Stills    v1alpha1.Stills
	Recipe    string
	Pre, Post Command
	// ContainerIDs are what the runtime calls the containers that the commands
	// run in, by their names. They change when a container is started anew.
	ContainerIDs map[string]string
}

// ForPod is the plan for a pod: it finds the containers where none is named.
// claims are those that are backed up. Errors are Problems.
func (q QuiescePlan) ForPod(pod *corev1.Pod, claims []string) (Target, error) {
	t := Target{Namespace: pod.Namespace, Pod: pod.Name, UID: pod.UID, Method: q.Method, Hold: q.Hold, Stills: q.Stills, Recipe: q.Recipe, Pre: q.Pre, Post: q.Post}
	for _, c := range []*Command{&t.Hold, &t.Pre, &t.Post} {
		if !c.isSet() {
			continue
		}
		if c.Container == "" && c.InFirst {
			c.Container = pod.Spec.Containers[0].Name
		} else if c.Container == "" {
			c.Container = mountingContainer(pod, claims)
		}
		if err := checkContainer(pod, c.Container); err != nil {
			return Target{}, err
		}
	}
	t.ContainerIDs = map[string]string{}
	for _, name := range t.Containers() {
		t.ContainerIDs[name] = containerID(pod, name)
	}
	return t, nil
}

// containerID is what the runtime calls a container, empty where none has run.
func containerID(pod *corev1.Pod, name string) string {
	for _, c := range slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses) {
		if c.Name == name {
			return c.ContainerID
		}
	}
	return ""
}

// CheckContainers is nil where no container of the targets was started anew
// since the plan was made: what a pre-hook froze went with the old one. A pod
// that has gone can't have written.
func CheckContainers(targets []Target, pods []corev1.Pod) error {
	for _, t := range targets {
		i := slices.IndexFunc(pods, func(pod corev1.Pod) bool { return pod.UID == t.UID })
		if i < 0 {
			continue
		}
		for _, name := range t.Containers() {
			if containerID(&pods[i], name) != t.ContainerIDs[name] {
				return fmt.Errorf("container %s of pod %s was started anew while the volumes were cut", name, t.Pod)
			}
		}
	}
	return nil
}

// Container is the one that a person would look into.
func (t Target) Container() string { return cmp.Or(t.Containers()...) }

// Containers are those that its commands run in, each once: first the one that
// is let go in.
func (t Target) Containers() []string {
	var names []string
	for _, c := range []Command{t.Hold, t.Post, t.Pre} {
		if c.isSet() && !slices.Contains(names, c.Container) {
			names = append(names, c.Container)
		}
	}
	return names
}

// Unpaired says why nobody's word is given for a quiet by hooks: half of the
// pair is missing. It is empty where both are there, and for a held session.
func (t Target) Unpaired() string {
	switch {
	case t.Method != v1alpha1.MethodHooks, t.Pre.isSet() && t.Post.isSet():
		return ""
	case t.Pre.isSet():
		return fmt.Sprintf("pod %s has a pre-hook and no post-hook: nobody says that it was quiet until the cut", t.Pod)
	}
	return fmt.Sprintf("pod %s has a post-hook and no pre-hook: nobody says that it was quiet before the cut", t.Pod)
}

// mountingContainer is the first container that mounts one of the claims, or
// the first container where none does.
func mountingContainer(pod *corev1.Pod, claims []string) string {
	volumes := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil && slices.Contains(claims, v.PersistentVolumeClaim.ClaimName) {
			volumes[v.Name] = true
		}
	}
	for _, c := range pod.Spec.Containers {
		mounts := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return volumes[m.Name] })
		devices := slices.ContainsFunc(c.VolumeDevices, func(d corev1.VolumeDevice) bool { return volumes[d.Name] })
		if mounts || devices {
			return c.Name
		}
	}
	return pod.Spec.Containers[0].Name
}

func checkContainer(pod *corev1.Pod, name string) error {
	var names []string
	for _, c := range append(slices.Clone(pod.Spec.Containers), sidecars(pod)...) {
		names = append(names, c.Name)
	}
	if !slices.Contains(names, name) {
		return v1alpha1.Problemf(v1alpha1.ReasonContainerNotFound,
			"pod %s has no container %q to run a hook in: it has %v", pod.Name, name, names)
	}
	if Runs(pod, name) {
		return nil
	}
	return v1alpha1.PassingProblemf(v1alpha1.ReasonPodNotRunning,
		"container %q of pod %s doesn't run%s: a hook can't run in it", name, pod.Name, why(pod, name))
}

// Runs is true for a container that runs, be it ready or not.
func Runs(pod *corev1.Pod, container string) bool {
	return slices.ContainsFunc(slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses), func(s corev1.ContainerStatus) bool {
		return s.Name == container && s.State.Running != nil
	})
}

// sidecars are init containers that go on running beside the others.
func sidecars(pod *corev1.Pod) []corev1.Container {
	var found []corev1.Container
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			found = append(found, c)
		}
	}
	return found
}

func why(pod *corev1.Pod, container string) string {
	for _, s := range slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses) {
		if s.Name == container && s.State.Waiting != nil {
			return fmt.Sprintf(" (%s)", s.State.Waiting.Reason)
		}
	}
	return ""
}

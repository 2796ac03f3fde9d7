package hooks

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
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
	// Mounts are where a held pod has its volumes.
	Mounts []workload.Mount
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
			var err error
			if c.Container, err = mountingContainer(pod, claims); err != nil {
				return Target{}, err
			}
		}
		if err := checkContainer(pod, c.Container); err != nil {
			return Target{}, err
		}
		c.Args = once(c.Args)
	}
	if err := t.addRecovery(pod, claims); err != nil {
		return Target{}, err
	}
	if t.Hold.isSet() {
		t.Mounts = workload.MountsFor(pod, t.Hold.Container, claims)
	}
	t.ContainerIDs = map[string]string{}
	for _, name := range t.Containers() {
		t.ContainerIDs[name] = containerID(pod, name)
	}
	return t, nil
}

// once has words that many pods say be in memory once, without the rest of the
// annotation that they stand in.
func once(words []string) []string {
	var all []string
	for _, word := range words {
		all = append(all, unique.Make(word).Value())
	}
	return all
}

// Words are those of all commands of targets, each once.
func Words(targets []Target) []string {
	all := map[string]bool{}
	for _, t := range targets {
		for _, word := range slices.Concat(t.Hold.Args, t.Pre.Args, t.Post.Args) {
			all[word] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
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
	var all []string
	for _, c := range []Command{t.Hold, t.Post, t.Pre} {
		if c.isSet() && !slices.Contains(all, c.Container) {
			all = append(all, c.Container)
		}
	}
	return all
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

// isPair is true for hooks of which both are there.
func (t Target) isPair() bool { return t.Method == v1alpha1.MethodHooks && t.Unpaired() == "" }

// isWatched is true for what stays frozen where nobody lets it go.
func (t Target) isWatched() bool {
	return t.isPair() || t.Method == v1alpha1.MethodHold && t.Post.isSet()
}

// mountingContainer is the first container that mounts one of the claims. One
// that can write to it comes before those that only read: it is the application.
func mountingContainer(pod *corev1.Pod, claims []string) (string, error) {
	if mounting := workload.Mounting(pod, claims...); len(mounting) > 0 {
		return mounting[0], nil
	}
	return "", v1alpha1.Problemf(v1alpha1.ReasonContainerNotFound,
		"no container of pod %s mounts a volume that is backed up (%s), so none is chosen to run a hook in: name one of %s, by the annotation %s or as container in spec.quiesce",
		pod.Name, names.List(claims), names.List(containersOf(pod)), v1alpha1.AnnotationHookContainer)
}

// containersOf are the names of those that a hook can run in.
func containersOf(pod *corev1.Pod) []string {
	var all []string
	for _, c := range workload.Running(&pod.Spec) {
		all = append(all, c.Name)
	}
	return all
}

// Elsewhere warns where the commands of a target run in a container that mounts
// none of the claims: it may quiet the application over the network, or be the
// wrong one. It names no pod: most pods are of one template.
func (t Target) Elsewhere(pod *corev1.Pod, claims []string) []Warning {
	mounting := workload.Mounting(pod, claims...)
	var warnings []Warning
	for _, name := range t.Containers() {
		if !slices.Contains(mounting, name) {
			warnings = append(warnings, Warning{v1alpha1.ReasonContainerMountsNone, fmt.Sprintf(
				"a hook runs in container %s, which mounts none of the volumes that are backed up. %s. The annotation %s, or container in spec.quiesce, names another",
				name, whoMounts(mounting), v1alpha1.AnnotationHookContainer)})
		}
	}
	return warnings
}

func whoMounts(mounting []string) string {
	if len(mounting) == 0 {
		return "No container does"
	}
	return "Those that do are " + names.List(mounting)
}

func checkContainer(pod *corev1.Pod, name string) error {
	if all := containersOf(pod); !slices.Contains(all, name) {
		return v1alpha1.Problemf(v1alpha1.ReasonContainerNotFound,
			"pod %s has no container %q to run a hook in: it has %v", pod.Name, name, all)
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

func why(pod *corev1.Pod, container string) string {
	for _, s := range slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses) {
		if s.Name == container && s.State.Waiting != nil {
			return fmt.Sprintf(" (%s)", s.State.Waiting.Reason)
		}
	}
	return ""
}

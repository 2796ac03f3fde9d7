package restore

import (
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// A kubelet that can't read one of a pod's claims tells it by an event and looks
// at the pod again after 10 to 15 seconds (completeWork in
// pkg/kubelet/pod_workers.go), or as soon as the pod object changes. Right after
// a pod was bound the API server's node authorizer may not have seen that yet,
// and refuses the kubelet once: the application would be down all that time for
// nothing. So the restore changes the pod, by an annotation.

// MountFailed is the reason of the event by which a kubelet tells it.
const MountFailed = "FailedMount"

// resyncs is how often a pod is changed at most, and resyncAfter how old it is
// the first time; each further time it is twice as old. After that the kubelet
// comes sooner by itself.
const (
	resyncs     = 4
	resyncAfter = time.Second
)

// resyncEvery is how often it is looked while a pod waits for its volumes.
const resyncEvery = time.Second / 2

func (s *State) awaitingVolumes() []*corev1.Pod {
	var all []*corev1.Pod
	for i := range s.Pods {
		p := &s.Pods[i]
		if p.Spec.NodeName != "" && p.DeletionTimestamp.IsZero() && p.Status.Phase == corev1.PodPending && !workload.HasVolumes(p) {
			all = append(all, p)
		}
	}
	return all
}

// AwaitingVolumes are the names of the application's pods that are on a node and
// whose volumes aren't mounted yet.
func (s *State) AwaitingVolumes() []string {
	var all []string
	for _, p := range s.awaitingVolumes() {
		all = append(all, p.Name)
	}
	return all
}

// resynced changes each pod whose kubelet has told since the last change that it
// can't read a claim.
func (s *State) resynced() []Change {
	var changes []Change
	for _, p := range s.awaitingVolumes() {
		done, _ := strconv.Atoi(p.Annotations[v1alpha1.AnnotationResync])
		isDue := !s.Now.Before(p.CreationTimestamp.Add(resyncAfter << done))
		if done >= resyncs || s.FailedMounts[p.Name] <= done || !isDue {
			continue
		}
		for _, change := range changed(p, Unguarded, fmt.Sprintf("pod %s can't be annotated", p.Name), func(p *corev1.Pod) {
			if p.Annotations == nil {
				p.Annotations = map[string]string{}
			}
			p.Annotations[v1alpha1.AnnotationResync] = strconv.Itoa(done + 1)
		}) {
			change.IsOptional = true // the kubelet comes by itself, later
			changes = append(changes, change)
		}
	}
	return changes
}

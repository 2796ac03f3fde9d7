package restore

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// mostStops is how often an application is told to stop on one way. Each time
// that somebody starts it again in the middle costs it a restart, and whoever does
// so by itself never ends.
const mostStops = 3

// scaleDown tells the application to stop. How many replicas it had is in the
// status.
func (s *State) scaleDown() Need {
	if !s.isStopped() && s.Restore.Status.Stops >= mostStops {
		return Need{Problem: s.scaledUpAgain()}
	}
	changes := scaled(s.Workload, 0)
	if !WayOf(s.Restore).IsBack {
		changes = slices.Concat(changes, s.recorded(), s.recordedOnBackup())
	}
	return Need{Changes: changes}
}

// scaledUpAgain tells of somebody who doesn't let the application be stopped. It
// runs, on what it had.
func (s *State) scaledUpAgain() *v1alpha1.Problem {
	who, then := "somebody", ", then restore again"
	if by := workload.ScaledBy(&s.Workload.Meta); len(by) > 0 {
		who = strings.Join(by, ", ") + " (the field manager of spec.replicas)"
	}
	if owner := metav1.GetControllerOfNoCopy(&s.Workload.Meta); owner != nil {
		who += fmt.Sprintf(", it belongs to %s %s", owner.Kind, owner.Name)
	}
	if WayOf(s.Restore).IsBack {
		then = ""
	}
	return v1alpha1.Problemf(v1alpha1.ReasonScaledUpAgain,
		"%s was told to stop %d times and was scaled up again each time, by %s: pause what does that meanwhile%s", named(s.Workload), s.Restore.Status.Stops, who, then)
}

// scaleUp tells the application to start, with what it had.
func (s *State) scaleUp() Need {
	if s.Restore.Status.Replicas == nil {
		return Need{}
	}
	return Need{Changes: scaled(s.Workload, *s.Restore.Status.Replicas)}
}

// isStarted doesn't compare with the number of before: an autoscaler may have
// gone on from it.
func (s *State) isStarted() bool {
	told := *WayOf(s.Restore).ScaledUpAt != nil
	return s.Workload == nil || told && (s.Workload.Replicas > 0 || ptr.Deref(s.Restore.Status.Replicas, 0) == 0)
}

// awaitPodsGone waits until all pods are gone, not only until none is wanted:
// two must never write to one volume. A pod that hangs is never forced. One that
// its controller doesn't tell to stop is told by the restore.
//
// An application that has its previous volumes, because nothing was swapped yet,
// or that keeps those that it has, is started again beside pods that hang: it
// would stay down for as long as they do.
func (s *State) awaitPodsGone() Need {
	if len(s.Pods) == 0 {
		return Need{}
	}
	way := WayOf(s.Restore)
	var pods []string
	for i := range s.Pods {
		pods = append(pods, s.Pods[i].Name)
	}
	slices.Sort(pods)
	hang := fmt.Sprintf("pod(s) %s hang and were not forced, since on a lost node that ruins data: kubectl describe pod -n %s %s says what holds them",
		strings.Join(pods, ", "), s.Restore.Namespace, pods[0])
	changes := s.toldToStop()
	wait := &Wait{
		Before: "waits until these pods are gone: ", For: pods,
		Condition: v1alpha1.ConditionScaledDown, ConditionReason: v1alpha1.ReasonPodsRemain,
		Until:  way.stoppedAt().Add(s.stopTime() + readyTimeout(s.Restore)),
		Late:   v1alpha1.Problem{Reason: v1alpha1.ReasonPodsRemain, Message: hang},
		GoesOn: way.IsBack && (s.isSwappedBack() || CallOff(s) != nil), Note: "; it was started again although " + hang,
		KeepsOn: way.IsBack,
	}
	if len(changes) > 0 {
		wait.After = "; its controller doesn't tell them to stop, so that the restore does"
	}
	return Need{Changes: changes, Wait: wait}
}

// toldAfter is how long an application that was scaled to zero has pods that
// nobody has told to stop, before the restore tells them: its controller tells
// each in a moment, if it does.
const toldAfter = time.Second

// toldToStop deletes pods of an application without replicas that its controller
// leaves running, with their own grace period. The controller of a StatefulSet
// waits for each to be ready before it deletes the next, so that it deletes none
// where two aren't (processCondemned in pkg/controller/statefulset); the order
// that it keeps, the highest ordinal first and the next once that is gone, is
// kept here too.
func (s *State) toldToStop() []Change {
	w := s.Workload
	if w == nil || w.Replicas > 0 || w.IsUnseen || s.Now.Before(s.stepSince().Add(toldAfter)) {
		return nil
	}
	pods := s.Pods
	if w.IsOrdered {
		if slices.ContainsFunc(pods, func(p corev1.Pod) bool { return !p.DeletionTimestamp.IsZero() }) {
			return nil
		}
		pods = []corev1.Pod{slices.MaxFunc(pods, func(a, b corev1.Pod) int { return cmp.Compare(workload.Ordinal(&a), workload.Ordinal(&b)) })}
	}
	var changes []Change
	for i := range pods {
		for _, change := range deletedPod(&pods[i]) {
			change.IsOptional = true // a pod that is never told is given up as one that hangs
			changes = append(changes, change)
		}
	}
	return changes
}

// stopTime is how long the application's pods may take to stop: their grace
// period, and that of each replica where they stop one after the other.
func (s *State) stopTime() time.Duration {
	grace := time.Duration(0)
	for i := range s.Pods {
		seconds := ptr.Deref(s.Pods[i].Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
		grace = max(grace, time.Duration(seconds)*time.Second)
	}
	if s.Workload != nil {
		grace *= time.Duration(s.Workload.Turns(max(int32(len(s.Pods)), ptr.Deref(s.Restore.Status.Replicas, 1))))
	}
	return grace
}

// mayStart is true where an application that has its previous volumes needn't
// wait for its old pods before it is started: somebody has started it, it was
// told to start, or pods that never went are why it goes back.
func (s *State) mayStart() bool {
	rb := s.Restore.Status.RollBack
	return !s.isStopped() || rb.ScaledUpAt != nil || rb.ReadyAt != nil || rb.Reason == v1alpha1.ReasonPodsRemain
}

// awaitReady waits until the application is ready for what it was told last.
func (s *State) awaitReady() Need {
	if s.Workload == nil || s.Workload.Unready == "" {
		return Need{}
	}
	way := WayOf(s.Restore)
	missing := s.Workload.Unready
	if trouble := troubleOf(s.Pods); trouble != "" {
		missing += "; " + trouble
	}
	limit, why := s.readyLimit()
	every := time.Duration(0)
	if len(s.awaitingVolumes()) > 0 {
		every = resyncEvery
	}
	return Need{Changes: s.resynced(), Wait: &Wait{
		Before: "waits until the application is ready: ", For: []string{missing}, After: why,
		Condition: v1alpha1.ConditionApplicationReady, ConditionReason: v1alpha1.ReasonNotReady,
		Until:  (*way.ScaledUpAt).Add(limit),
		Late:   v1alpha1.Problem{Reason: v1alpha1.ReasonReadyTimeout, Message: fmt.Sprintf("the application was not ready within %s: %s%s", limit, missing, why)},
		GoesOn: way.MayStayUnready, Every: every,
	}}
}

// readyLimit is how long the application may take to be ready on this way: what
// its owner allows, on top of what it takes at least by its own settings. why
// says so, empty where it takes nothing.
func (s *State) readyLimit() (limit time.Duration, why string) {
	allowed := WayOf(s.Restore).ReadyTimeout
	least, settings := s.leastReady()
	if least == 0 {
		return allowed, ""
	}
	return allowed + least, fmt.Sprintf(" (it has %s, on top of the %s that it takes at least: %s)", allowed, least, settings)
}

func (s *State) leastReady() (least time.Duration, settings string) {
	if s.Workload == nil {
		return 0, ""
	}
	return s.Workload.LeastReady(ptr.Deref(s.Restore.Status.Replicas, s.Workload.Replicas))
}

// troubleOf is what keeps the first pod that isn't ready from being so.
func troubleOf(pods []corev1.Pod) string {
	for i := range pods {
		if p := &pods[i]; !p.DeletionTimestamp.IsZero() {
			return fmt.Sprintf("pod %s was told to stop and isn't gone: kubectl describe pod -n %s %s says what holds it", p.Name, p.Namespace, p.Name)
		}
		if !workload.IsReady(&pods[i]) {
			return fmt.Sprintf("pod %s: %s", pods[i].Name, podTrouble(&pods[i]))
		}
	}
	return ""
}

// podTrouble is what keeps a pod from running, in the words of the cluster.
func podTrouble(p *corev1.Pod) string {
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if trouble := containerTrouble(&c); trouble != "" {
			return fmt.Sprintf("container %s%s", c.Name, trouble)
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Message != "" {
			return c.Message
		}
	}
	return strings.TrimRight(fmt.Sprintf("%s %s %s", p.Status.Phase, p.Status.Reason, p.Status.Message), " ")
}

func containerTrouble(c *corev1.ContainerStatus) string {
	switch waits, ended := c.State.Waiting, c.State.Terminated; {
	case waits != nil && waits.Reason != "ContainerCreating" && waits.Reason != "PodInitializing":
		last := ptr.Deref(c.LastTerminationState.Terminated, corev1.ContainerStateTerminated{})
		return strings.TrimRight(fmt.Sprintf(": %s %s %.512s", waits.Reason, waits.Message, last.Message), " ")
	case ended != nil && ended.ExitCode != 0:
		return fmt.Sprintf(" ended with %d: %.512s", ended.ExitCode, ended.Message)
	case c.State.Running != nil && !c.Ready:
		return " runs and isn't ready"
	}
	return ""
}

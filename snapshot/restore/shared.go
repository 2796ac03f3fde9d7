package restore

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// sharer is what else mounts a claim of the application: a workload, whether it
// has pods now or not, or a pod of something else.
type sharer struct {
	// name is it for people, with its pods: Deployment worker (pod worker-1).
	name string
	// stop is the command that stops it, empty where there is no single one.
	stop string
	// runs is true where it has pods that mount the claim, or soon may.
	runs bool
}

// sharersOf are all that mount a claim beside the application.
func (in *Input) sharersOf(claim string) []sharer {
	var found []sharer
	_, rest := workload.Partition(workload.Unfinished(in.Pods), in.Workload.Owns)
	rest = slices.DeleteFunc(rest, func(p corev1.Pod) bool {
		_, isMountCheck := isOwnedBy(&p, "VolumeRestore")
		return isMountCheck || !slices.Contains(workload.ClaimsOf(&p), claim)
	})
	for i := range in.Others {
		other := &in.Others[i]
		if other.Meta.UID == in.Workload.Meta.UID {
			continue
		}
		var own []corev1.Pod
		if own, rest = workload.Partition(rest, other.Owns); len(own) > 0 || other.MayMount(claim) {
			found = append(found, sharer{name: named(other) + inPods(own), stop: stopOf(other), runs: len(own) > 0})
		}
	}
	for _, p := range rest {
		found = append(found, sharer{name: "pod " + p.Name, stop: "kubectl delete pod " + p.Name, runs: true})
	}
	return found
}

func inPods(pods []corev1.Pod) string {
	var all []string
	for _, p := range pods {
		all = append(all, p.Name)
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf(" (pod %s)", strings.Join(all, ", "))
}

func stopOf(w *workload.Workload) string {
	switch w.Ref.Kind {
	case v1alpha1.KindDaemonSet:
		return ""
	case workload.KindJob, workload.KindCronJob:
		return fmt.Sprintf(`kubectl patch %s --type=merge -p '{"spec":{"suspend":true}}'`, typed(w))
	}
	return fmt.Sprintf("kubectl scale %s --replicas=0", typed(w))
}

// shared tells, for the claims that are restored, who else mounts them, empty
// where nobody does: "Deployment worker mounts claim files too".
func (in *Input) shared() string {
	var all []string
	for _, v := range in.chosen() {
		mounted, ok := in.mountedAs(v1alpha1.StrategyRepoint, v.ClaimName)
		if !ok {
			continue
		}
		for _, s := range in.sharersOf(mounted) {
			all = append(all, fmt.Sprintf("%s mounts claim %s too", s.name, mounted))
		}
	}
	return strings.Join(names.Set(all), ", ")
}

// checkShared refuses to put another volume under a claim that others use now.
// All go on with the restored volume where all were stopped.
func checkShared(p *proposal, c *v1alpha1.RestoredClaim) *v1alpha1.Problem {
	var users, stops []string
	for _, s := range p.sharersOf(c.PreviousClaim) {
		if s.runs {
			users = append(users, s.name)
			if s.stop != "" {
				stops = append(stops, s.stop)
			}
		}
	}
	if len(users) == 0 {
		return nil
	}
	how := ""
	if len(stops) > 0 {
		how = " (" + strings.Join(stops, "; ") + ")"
	}
	alone := ""
	if p.Workload.Ref.Kind != v1alpha1.KindStatefulSet {
		alone = fmt.Sprintf(", or strategy Repoint to move %s alone, and leave the others on the previous volume", named(p.Workload))
	}
	return v1alpha1.Problemf(v1alpha1.ReasonClaimInUse,
		"PersistentVolumeClaim %s can't be replaced while %s, of another application, uses it: stop what uses it first%s, and start it again on the restored volume; or exclude the claim by spec.volumes.exclude, or write strategy ClaimsOnly%s",
		c.PreviousClaim, strings.Join(users, ", "), how, alone)
}

// warnOfShared tells that a Repoint that is asked for tears applications apart.
func warnOfShared(p *proposal) *Warning {
	if p.res.Strategy != v1alpha1.StrategyRepoint {
		return nil
	}
	shared := p.shared()
	if shared == "" {
		return nil
	}
	return &Warning{v1alpha1.ReasonClaimShared, fmt.Sprintf(
		"%s, and stays on the previous volume: from here on it and %s don't see what the other writes. To have both on the restored volume, undo this restore, stop both and restore by Replace", shared, named(p.Workload))}
}

// checkStillAlone refuses a Repoint that nobody asked for by name where another's
// pod has come to mount a claim since it was chosen.
func checkStillAlone(s *State) *v1alpha1.Problem {
	if s.Restore.Spec.Target.Strategy == v1alpha1.StrategyRepoint || s.holds(v1alpha1.ConditionSwapped) {
		return nil
	}
	for c := range s.claims() {
		for _, p := range workload.Unfinished(s.Others) {
			if slices.Contains(workload.ClaimsOf(&p), c.PreviousClaim) {
				return v1alpha1.Problemf(v1alpha1.ReasonClaimInUse,
					"pod %s, of another application, has come to mount PersistentVolumeClaim %s, and would stay on the previous volume: stop it and restore again, or write strategy Repoint to move %s alone",
					p.Name, c.PreviousClaim, applicationName(s.Restore.Status.Application))
			}
		}
	}
	return nil
}

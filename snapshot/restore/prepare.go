package restore

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// LacksMountChecks is true where a mount check pod is still to be made.
func (s *State) LacksMountChecks() bool {
	return !WayOf(s.Restore).IsBack && !s.holds(v1alpha1.ConditionClaimsReady) && len(s.MountChecks) < len(mountCheckPods(s.Restore))
}

// makeClaims makes a claim from every snapshot, or for it to be filled from.
func (s *State) makeClaims() Need {
	changes, _, problem := s.gather(s.madeClaim)
	return Need{Changes: changes, Problem: problem}
}

func (s *State) madeClaim(c *v1alpha1.RestoredClaim) claimNeed {
	there := s.Claims[NewClaimName(c)]
	if there == nil {
		claim := NewClaim(s.Restore, c)
		return claimNeed{changes: []Change{{Verb: Create, After: claim, Reason: v1alpha1.ReasonClaimRefused, Cannot: "claim " + claim.Name + " can't be made"}}}
	}
	if madeBy(s.Restore, there) && there.DeletionTimestamp.IsZero() {
		return claimNeed{}
	}
	return claimNeed{problem: v1alpha1.Problemf(v1alpha1.ReasonClaimExists,
		"there is a PersistentVolumeClaim %q already: write another name into spec.target.claims, or none to have one made up", there.Name)}
}

// checkMounts binds the new claims and mounts them, each group by a pod where
// the application can run. The application runs meanwhile.
func (s *State) checkMounts() Need {
	var changes []Change
	waits := s.Unmounted()
	for _, name := range mountCheckPods(s.Restore) {
		pod := s.MountChecks[name]
		if pod == nil {
			changes = append(changes, s.madeMountCheck(name))
		} else if pod.Status.Phase == corev1.PodFailed {
			return stuck(v1alpha1.ReasonNotProven, "pod %s could not mount the new claims: %s", name, podTrouble(pod))
		}
	}
	if len(changes)+len(waits) == 0 {
		return Need{}
	}
	return Need{Changes: changes, Wait: s.waitMounted()}
}

func (s *State) waitMounted() *Wait {
	w := &Wait{
		Before: "waits until the new claims are bound and mounted; the application runs", Until: s.runningUntil(), LateSays: true,
		Late: v1alpha1.Problem{Reason: v1alpha1.ReasonNotProven, Message: fmt.Sprintf("the new claims were not bound and mounted within %s: ", s.ClaimTimeout)},
	}
	if s.condition(v1alpha1.ConditionClaimsReady) == nil {
		w.Until = s.Now.Add(s.ClaimTimeout)
	}
	if s.Complaint != "" {
		w.After = ". " + s.Complaint
	}
	return w
}

// Unmounted are the names of the new claims that aren't bound yet and of the
// mount check pods that haven't mounted theirs, in this order.
func (s *State) Unmounted() []string {
	var unmounted []string
	for c := range s.claims() {
		if claim := s.Claims[NewClaimName(c)]; heldVolume(claim) == "" {
			unmounted = append(unmounted, NewClaimName(c))
		}
	}
	for _, name := range mountCheckPods(s.Restore) {
		if pod := s.MountChecks[name]; pod == nil || pod.Status.Phase != corev1.PodSucceeded {
			unmounted = append(unmounted, name)
		}
	}
	return unmounted
}

// RecordVolumes writes into the status which volumes are swapped for which. All
// new claims are bound.
func RecordVolumes(s *State) {
	for c := range s.claims() {
		c.RestoredVolume = heldVolume(s.Claims[NewClaimName(c)])
		c.PreviousVolume = heldVolume(s.Claims[c.PreviousClaim])
		c.RestoredVolumeUID, c.PreviousVolumeUID = s.uidOf(c.RestoredVolume), s.uidOf(c.PreviousVolume)
	}
}

func mountCheckPods(r *v1alpha1.VolumeRestore) []string {
	var pods []string
	for _, c := range r.Status.Claims {
		if c.MountCheckPod != "" {
			pods = append(pods, c.MountCheckPod)
		}
	}
	return names.Set(pods)
}

func (s *State) madeMountCheck(name string) Change {
	var claims []v1alpha1.RestoredClaim
	var previous []string
	for c := range s.claims() {
		if c.MountCheckPod == name {
			claims, previous = append(claims, *c), append(previous, c.PreviousClaim)
		}
	}
	return Change{
		Verb: Create, After: s.mountCheckPod(name, claims, workload.Node(s.Pods, previous...)),
		Reason: v1alpha1.ReasonNotProven, Cannot: "the pod that proves the new claims can't be made", Mend: s.mountCheckMend(),
	}
}

// endMountCheck deletes the mount check pods, and waits until they are gone: a
// volume may be one that only one pod can have. Where the restore is undone it
// is enough that they go.
func (s *State) endMountCheck() Need {
	var changes []Change
	pods := slices.Sorted(maps.Keys(s.MountChecks))
	for _, name := range pods {
		changes = append(changes, deletedPod(s.MountChecks[name])...)
	}
	if len(pods) == 0 || WayOf(s.Restore).IsBack {
		return Need{Changes: changes}
	}
	late := fmt.Sprintf("the pod(s) that proved the claims hang: %s: kubectl describe pod -n %s %s says what holds them", strings.Join(pods, ", "), s.Restore.Namespace, pods[0])
	return Need{Changes: changes, Wait: s.waitRunning("waits until the pod(s) that proved the claims are gone: ", pods, v1alpha1.ReasonPodsRemain, late)}
}

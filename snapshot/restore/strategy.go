package restore

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// strategy is how an application gets other volumes: where its claims lead it,
// and what leads them elsewhere.
type strategy interface {
	// what is the swap, for people.
	what() string
	// current is the claim that the application mounts in the place of c, empty
	// where it mounts none.
	current(s *State, c *v1alpha1.RestoredClaim) string
	// isOnRestored is true for a claim that leads the application to its new
	// volume.
	isOnRestored(s *State, c *v1alpha1.RestoredClaim) bool
	// isOnPrevious is true for a claim that leads the application to its previous
	// volume, or that has none to go back to.
	isOnPrevious(s *State, c *v1alpha1.RestoredClaim) bool
	// isInUse is true for a new volume that the application still has: where
	// there was none before, it has nothing to go back to.
	isInUse(s *State, c *v1alpha1.RestoredClaim) bool
	// swap is what leads all claims to the end of the way. The application is
	// stopped.
	swap(s *State, way Way) (changes []Change, waits []string, problem *v1alpha1.Problem)
	// checkSwap is what stands in the way of the swap while the application still
	// runs, nil where nothing does.
	checkSwap(s *State) *v1alpha1.Problem
	// changesAhead are those of the swap, and of its undoing, that can be asked
	// for before the application is stopped.
	changesAhead(s *State) []Change
}

func strategyOf(v *v1alpha1.VolumeRestore) strategy {
	switch v.Status.Strategy {
	case v1alpha1.StrategyRepoint:
		return repoint{}
	case v1alpha1.StrategyReplace:
		return replace{}
	}
	return claimsOnly{}
}

// CurrentClaim is the claim that the application mounts in the place of one of
// the restore's, empty where it mounts none.
func (s *State) CurrentClaim(c *v1alpha1.RestoredClaim) string {
	return strategyOf(s.Restore).current(s, c)
}

// boundVolume is the volume that the application's claim leads to, empty where
// there is none.
func (s *State) boundVolume(c *v1alpha1.RestoredClaim) string {
	return heldVolume(s.Claims[s.CurrentClaim(c)])
}

// isSwappedBack is true where all claims lead the application to its previous
// volumes.
func (s *State) isSwappedBack() bool {
	return s.every(func(c *v1alpha1.RestoredClaim) bool { return strategyOf(s.Restore).isOnPrevious(s, c) })
}

// claimsOnly touches no application, so that none is on its volumes.
type claimsOnly struct{ replace }

func (claimsOnly) isInUse(*State, *v1alpha1.RestoredClaim) bool { return false }
func (claimsOnly) checkSwap(*State) *v1alpha1.Problem           { return nil }

// repoint points the pod template at claims of other names.
type repoint struct{}

func (repoint) what() string { return "points its pod template at the new claims" }

func (repoint) current(s *State, c *v1alpha1.RestoredClaim) string {
	if s.Workload == nil || len(c.TemplateVolumes) == 0 {
		return ""
	}
	return s.Workload.ClaimAt(c.TemplateVolumes[0])
}

func (repoint) isOnRestored(s *State, c *v1alpha1.RestoredClaim) bool {
	return s.Workload != nil && !slices.ContainsFunc(c.TemplateVolumes, func(volume string) bool {
		return s.Workload.ClaimAt(volume) != c.RestoredClaim
	})
}

func (repoint) isOnPrevious(s *State, c *v1alpha1.RestoredClaim) bool {
	return s.Workload == nil || s.hasPreviousClaim(c) && !slices.ContainsFunc(volumesToRepoint(s, c), func(volume string) bool {
		return s.Workload.ClaimAt(volume) != c.PreviousClaim
	})
}

// leadsToPrevious is true for a claim that has the previous volume, and where there
// was none.
func (s *State) leadsToPrevious(c *v1alpha1.RestoredClaim, claim *corev1.PersistentVolumeClaim) bool {
	return c.PreviousVolume == "" || isBoundTo(claim, c.PreviousVolume) && !s.isMadeAnew(c.PreviousVolume, c.PreviousVolumeUID)
}

// hasPreviousClaim is true where the previous claim has the volume that it had,
// and stays. A restore that replaced nothing has nothing to have.
func (s *State) hasPreviousClaim(c *v1alpha1.RestoredClaim) bool {
	return s.leadsToPrevious(c, s.Claims[c.PreviousClaim])
}

func (repoint) isInUse(s *State, c *v1alpha1.RestoredClaim) bool {
	return s.Workload != nil && s.Workload.MayMount(c.RestoredClaim)
}

// checkSwap looks at claims that somebody has deleted: once the application is
// stopped they go, and are made anew on the way back. One that somebody else
// holds would neither go nor could be mounted.
func (repoint) checkSwap(s *State) *v1alpha1.Problem {
	for c := range s.claims() {
		if claim := s.Claims[c.PreviousClaim]; isGoing(claim) && c.PreviousVolume != "" {
			if p := checkReplaceable(c.PreviousClaim, claim, s.Others); p != nil {
				p.Message = fmt.Sprintf("PersistentVolumeClaim %s is being deleted, so that there would be no way back: %s", c.PreviousClaim, p.Message)
				return p
			}
		}
	}
	return checkStillAlone(s)
}

// volumesToRepoint are the volumes of the pod template that are pointed from one
// claim to the other: those that the restore found, as far as they are there and
// mount a claim, and whichever its owner has put there for the new claim since.
func volumesToRepoint(s *State, c *v1alpha1.RestoredClaim) []string {
	if s.Workload == nil {
		return nil
	}
	volumes := s.Workload.TemplateVolumes(c.RestoredClaim)
	for _, volume := range c.TemplateVolumes {
		if s.Workload.ClaimAt(volume) != "" && !slices.Contains(volumes, volume) {
			volumes = append(volumes, volume)
		}
	}
	return volumes
}

// replace puts other volumes under the claims' names.
type replace struct{}

func (replace) what() string {
	return "deletes the old claims, whose volumes are kept, and makes them again for the new volumes"
}

func (replace) current(_ *State, c *v1alpha1.RestoredClaim) string { return c.RestoredClaim }

func (replace) isOnRestored(s *State, c *v1alpha1.RestoredClaim) bool {
	return isBoundTo(s.Claims[c.RestoredClaim], c.RestoredVolume) && !s.isMadeAnew(c.RestoredVolume, c.RestoredVolumeUID)
}

func (replace) isOnPrevious(s *State, c *v1alpha1.RestoredClaim) bool {
	return s.leadsToPrevious(c, s.Claims[c.RestoredClaim])
}

func (replace) isInUse(s *State, c *v1alpha1.RestoredClaim) bool {
	return c.RestoredVolume != "" && s.boundVolume(c) == c.RestoredVolume
}

func (replace) checkSwap(s *State) *v1alpha1.Problem {
	for c := range s.claims() {
		if p := checkReplaceable(c.RestoredClaim, s.Claims[c.RestoredClaim], s.Others); p != nil {
			return p
		}
	}
	return nil
}

func isBoundTo(claim *corev1.PersistentVolumeClaim, volume string) bool {
	return claim != nil && volume != "" && claim.DeletionTimestamp.IsZero() && heldVolume(claim) == volume
}

// checkReplaceable refuses a claim that could not be deleted: another
// application's pod uses it, or will once the application's own pods make room,
// or a finalizer of another tool holds it.
func checkReplaceable(name string, claim *corev1.PersistentVolumeClaim, others []corev1.Pod) *v1alpha1.Problem {
	for i := range others {
		p := &others[i]
		mend, deleted := "stop it first, or exclude the claim by spec.volumes.exclude", fmt.Sprintf("delete it first (kubectl delete pod -n %s %s)", p.Namespace, p.Name)
		switch isPending := p.Spec.NodeName == "" && !workload.IsFinished(p) && slices.Contains(workload.ClaimsOf(p), name); {
		case isPending:
			mend = "it waits for a node, and may get one once the application is stopped: " + deleted
		case !workload.Mounts(p, name):
			continue
		case workload.IsFinished(p):
			mend = "it has finished: " + deleted
		}
		return v1alpha1.Problemf(v1alpha1.ReasonClaimInUse,
			"pod %s, of another application, uses PersistentVolumeClaim %s, which therefore can't be replaced: %s", p.Name, name, mend)
	}
	if claim == nil {
		return nil
	}
	for _, f := range claim.Finalizers {
		if f != finalizerProtection {
			return v1alpha1.PassingProblemf(v1alpha1.ReasonClaimHeld,
				"PersistentVolumeClaim %s carries the finalizer %s and could not be deleted to be replaced: wait until what set it is done, or remove it (kubectl edit pvc -n %s %s)", name, f, claim.Namespace, name)
		}
	}
	return nil
}

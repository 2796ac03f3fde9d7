package restore

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// swapGrace is how long claims may take to go or to be bound before it is told.
// Kubernetes takes a few hundredths of it.
const swapGrace = time.Second

// swap leads the application's claims to the volumes at the end of the way. All
// its pods are gone, and the volumes of both sides are retained.
func (s *State) swap() Need {
	changes, waits, problem := strategyOf(s.Restore).swap(s, WayOf(s.Restore))
	if problem != nil || len(changes)+len(waits) == 0 {
		return Need{Problem: problem}
	}
	w := &Wait{
		Before: "the application is down; waits until ", For: waits,
		Until: s.stepSince().Add(StepDeadline(s.Restore)), Quiet: s.stepSince().Add(swapGrace),
		Late: v1alpha1.Problem{Reason: v1alpha1.ReasonSwapping, Message: "the claims could not be swapped in time: "}, LateSays: true,
	}
	return Need{Changes: changes, Wait: w}
}

// swap points the template at the claims, while the application has no replicas.
// Whether it leads there then is for the next look to say: its owner changes it
// too.
func (repoint) swap(s *State, way Way) ([]Change, []string, *v1alpha1.Problem) {
	if s.every(func(c *v1alpha1.RestoredClaim) bool { return way.isThere(s, c) }) {
		return nil, nil, nil
	}
	if s.Workload == nil {
		return nil, nil, v1alpha1.Problemf(v1alpha1.ReasonApplicationNotFound, "%s is gone", applicationName(s.Restore.Status.Application))
	}
	return s.repointing(way), []string{"its pod template leads to the claims"}, nil
}

// changesAhead leads there. The template leads to the previous claims as it is.
func (repoint) changesAhead(s *State) []Change {
	if s.Workload == nil {
		return nil
	}
	return s.repointing(WayOf(s.Restore))
}

func (s *State) repointing(way Way) []Change {
	claims := map[string]string{}
	for c := range s.claims() {
		for _, volume := range volumesToRepoint(s, c) {
			claims[volume] = way.to(c).claim
		}
	}
	return repointed(s.Workload, claims)
}

// swap puts another volume under the name of each claim.
func (replace) swap(s *State, way Way) ([]Change, []string, *v1alpha1.Problem) {
	return s.gather(func(c *v1alpha1.RestoredClaim) claimNeed {
		if way.isThere(s, c) {
			return claimNeed{}
		}
		return s.nextReplacement(c, way)
	})
}

// changesAhead deletes the claims, and makes them again for either volume. The
// API server says that they are there only after every policy has been asked.
func (replace) changesAhead(s *State) []Change {
	return s.changes(func(c *v1alpha1.RestoredClaim) []Change {
		ahead := append(deletedClaim(s.Claims[c.RestoredClaim]), madeForVolume(s.Restore, c, c.RestoredVolume))
		if c.PreviousVolume != "" {
			ahead = append(ahead, madeForVolume(s.Restore, c, c.PreviousVolume))
		}
		return ahead
	})
}

// nextReplacement is the next step by which a claim of the same name, for
// another volume, takes the place of a claim:
//
//	reserve the volume for the name ─ delete the old claim ─ see it gone ─
//	see the volume available ─ make the new claim ─ see it bound
//
// The PersistentVolume controller binds a claim that it sees before it has seen
// the volume's reservation only when it looks at all claims again, after 15
// seconds: it calls the volume Available once it has.
func (s *State) nextReplacement(c *v1alpha1.RestoredClaim, way Way) claimNeed {
	volume := way.to(c).volume
	v, claim := s.Volumes[volume], s.Claims[c.RestoredClaim]
	isBound := fmt.Sprintf("%s is bound to %s", c.RestoredClaim, volume)
	switch {
	case v == nil:
		return claimNeed{problem: v1alpha1.Problemf(v1alpha1.ReasonPreviousGone, "PersistentVolume %s is gone, claim %s can't lead to it", volume, c.RestoredClaim)}
	case claim != nil && (claim.Spec.VolumeName == volume || claim.Spec.VolumeName == "" && !isOlder(claim, way)):
		return claimNeed{waits: isBound}
	case !isReservedForAny(v, s.Restore.Namespace, c.RestoredClaim):
		need := s.reservedFor(c, v)
		need.waits = isBound
		return need
	case claim != nil:
		return s.deletedOld(c, claim)
	case v.Status.Phase != corev1.VolumeAvailable:
		return claimNeed{waits: fmt.Sprintf("PersistentVolume %s, reserved for claim %s, is available", volume, c.RestoredClaim)}
	}
	return claimNeed{changes: []Change{madeForVolume(s.Restore, c, volume)}, waits: isBound}
}

// madeForVolume makes a claim of the application's for one of its volumes.
func madeForVolume(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, volume string) Change {
	const made = "be made for PersistentVolume "
	return Change{
		Verb: Create, After: BoundClaim(r, c, volume), Reason: v1alpha1.ReasonClaimRefused,
		Cannot:   "claim " + c.RestoredClaim + " can't " + made + volume,
		Liftable: "claim " + c.RestoredClaim + " can " + made + volume,
	}
}

// isOlder is true for a claim that waited for a volume before this way was
// taken: one that came since is for the volume at its end, which is reserved for
// its name.
func isOlder(claim *corev1.PersistentVolumeClaim, way Way) bool {
	return claim.CreationTimestamp.Time.Before(way.since.Truncate(time.Second))
}

// deletedOld deletes a claim whose volume is known to be kept, and the finished
// pods of the application that would hold it.
func (s *State) deletedOld(c *v1alpha1.RestoredClaim, claim *corev1.PersistentVolumeClaim) claimNeed {
	bound := heldVolume(claim)
	if bound != "" && bound != c.PreviousVolume && bound != c.RestoredVolume && bound != c.CurrentVolume {
		return claimNeed{problem: v1alpha1.Problemf(v1alpha1.ReasonClaimHeld, "claim %s is bound to %s, which this restore doesn't know: somebody has changed it", claim.Name, bound)}
	}
	need := claimNeed{waits: fmt.Sprintf("the old claim %s is gone%s", c.RestoredClaim, heldBy(claim))}
	if v := s.Volumes[bound]; v != nil && !isRetained(v) {
		need.changes = changedVolume(v, s.retain(c, false))
		return need
	}
	need.changes = append(s.deletedFinished(claim.Name), deletedClaim(claim)...)
	return need
}

// deletedFinished deletes the finished pods of the application that would hold a
// claim.
func (s *State) deletedFinished(claim string) []Change {
	var changes []Change
	for i := range s.Finished {
		if workload.Mounts(&s.Finished[i], claim) {
			changes = append(changes, deletedPod(&s.Finished[i])...)
		}
	}
	return changes
}

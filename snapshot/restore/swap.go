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
	way := WayOf(s.Restore)
	changes, waits, problem := strategyOf(s.Restore).swap(s, way)
	if problem != nil {
		return s.heldUp(way, problem)
	}
	if len(changes)+len(waits) == 0 {
		return Need{}
	}
	w := &Wait{
		Before: "the application is down; waits until ", For: waits,
		Until: s.stepSince().Add(StepDeadline(s.Restore)), Quiet: s.stepSince().Add(swapGrace),
		Late: v1alpha1.Problem{Reason: v1alpha1.ReasonSwapping, Message: "the claims could not be swapped in time: "}, LateSays: true,
		KeepsOn: way.IsBack,
	}
	return Need{Changes: changes, Wait: w}
}

// heldLimit is how long a restore waits, with the application down, for what may
// let go of a claim in a moment.
const heldLimit = 10 * time.Second

// heldUp is what comes of an obstacle to the swap. Forward, the application gets
// back what it had: at once, or after a moment where the obstacle may pass. On
// the way back there is nothing better than to wait until it has passed.
func (s *State) heldUp(way Way, p *v1alpha1.Problem) Need {
	if !p.Passing {
		return Need{Problem: p}
	}
	w := &Wait{Before: "the application is down: " + p.Message, Reason: p.Reason, Until: s.stepSince().Add(heldLimit), Late: *p}
	if way.IsBack {
		w.Until, w.KeepsOn = s.stepSince().Add(StepDeadline(s.Restore)), true
	}
	return Need{Wait: w}
}

// swap points the template at the claims, while the application has no replicas.
// Whether it leads there then is for the next look to say: its owner changes it
// too. On the way back a claim that is gone is made anew first: its volume was
// retained.
func (repoint) swap(s *State, way Way) ([]Change, []string, *v1alpha1.Problem) {
	if way.IsBack && s.Workload != nil {
		changes, waits, problem := s.gather(func(c *v1alpha1.RestoredClaim) claimNeed {
			if s.hasPreviousClaim(c) {
				return claimNeed{}
			}
			return s.nextReplacement(c, way)
		})
		if problem != nil || len(changes)+len(waits) > 0 {
			return changes, waits, problem
		}
	}
	if s.every(func(c *v1alpha1.RestoredClaim) bool { return way.isThere(s, c) }) {
		return nil, nil, nil
	}
	if s.Workload == nil {
		return nil, nil, v1alpha1.Problemf(v1alpha1.ReasonApplicationNotFound, "%s is gone", applicationName(s.Restore.Status.Application))
	}
	return s.repointing(way), []string{"its pod template leads to the claims"}, nil
}

// changesAhead leads there and back. The template leads to the previous claims as it
// is; one that is being deleted is made anew on the way back.
func (repoint) changesAhead(s *State) []Change {
	if s.Workload == nil {
		return nil
	}
	claims := s.repointedClaims(WayOf(s.Restore))
	ahead := s.scalingAhead(func(obj workload.Object) { repointTo(obj, claims) }, func(int32) string { return cannotRepoint })
	return append(ahead, s.changes(func(c *v1alpha1.RestoredClaim) []Change {
		if s.hasPreviousClaim(c) {
			return nil
		}
		return []Change{madeForVolume(s.Restore, c, side{c.PreviousClaim, c.PreviousVolume})}
	})...)
}

func (s *State) repointing(way Way) []Change {
	return repointed(s.Workload, s.repointedClaims(way))
}

// repointedClaims are the claims at the end of the way, by the template's volumes
// that are pointed at them.
func (s *State) repointedClaims(way Way) map[string]string {
	claims := map[string]string{}
	for c := range s.claims() {
		for _, volume := range volumesToRepoint(s, c) {
			claims[volume] = way.to(c).claim
		}
	}
	return claims
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

// changesAhead deletes the claims, with the finished pods that would hold them,
// and makes them again for either volume. The API server says that they are there
// only after every policy has been asked.
func (replace) changesAhead(s *State) []Change {
	return s.changes(func(c *v1alpha1.RestoredClaim) []Change {
		ahead := append(s.deletedFinished(c.RestoredClaim), deletedClaim(s.Claims[c.RestoredClaim])...)
		ahead = append(ahead, madeForVolume(s.Restore, c, side{c.RestoredClaim, c.RestoredVolume}))
		if c.PreviousVolume != "" {
			ahead = append(ahead, s.changedVolume(s.previousVolume(c), reserve(s.Restore.Namespace, c.RestoredClaim, ""))...)
			ahead = append(ahead, madeForVolume(s.Restore, c, side{c.RestoredClaim, c.PreviousVolume}))
		}
		return ahead
	})
}

// nextReplacement is the next step by which a claim of the same name, for
// another volume, takes the place of a claim:
//
//	reserve the volume for the name ─ see that nobody else uses the old claim ─
//	delete it ─ see it gone ─ see the volume available ─ make the new claim ─
//	see it bound
//
// The PersistentVolume controller binds a claim that it sees before it has seen
// the volume's reservation only when it looks at all claims again, after 15
// seconds: it calls the volume Available once it has.
func (s *State) nextReplacement(c *v1alpha1.RestoredClaim, way Way) claimNeed {
	name, volume := way.to(c).claim, way.to(c).volume
	v, claim := way.volume(s, c), s.Claims[name]
	isBound := fmt.Sprintf("%s is bound to %s", name, volume)
	switch {
	case v == nil:
		return claimNeed{problem: v1alpha1.Problemf(v1alpha1.ReasonPreviousGone, "PersistentVolume %s is gone, claim %s can't lead to it", volume, name)}
	case isGoing(claim):
		return s.goingClaim(c, claim)
	case isTakenBy(v, claim):
		return claimNeed{waits: isBound}
	case !isReservedForAny(v, s.Restore.Namespace, name):
		need := s.reservedFor(c, v, name)
		need.waits = isBound
		return need
	case claim != nil && (claim.Spec.VolumeName == volume || claim.Spec.VolumeName == "" && !isOlder(claim, way)):
		return claimNeed{waits: isBound}
	case claim != nil:
		return s.deletedOld(c, claim, way)
	case v.Status.Phase != corev1.VolumeAvailable:
		return claimNeed{waits: fmt.Sprintf("PersistentVolume %s, reserved for claim %s, is available", volume, name)}
	}
	return claimNeed{changes: []Change{madeForVolume(s.Restore, c, way.to(c))}, waits: isBound}
}

// isTakenBy is true for a volume that the claim is being bound to.
func isTakenBy(v *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	return claim != nil && v.Spec.ClaimRef != nil && v.Spec.ClaimRef.UID == claim.UID && claim.UID != ""
}

// madeForVolume makes a claim of the application's for one of its volumes.
func madeForVolume(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, to side) Change {
	const made = "be made for PersistentVolume "
	return Change{
		Verb: Create, After: boundClaim(r, c, to), Reason: v1alpha1.ReasonClaimRefused,
		Cannot:   "claim " + to.claim + " can't " + made + to.volume,
		Liftable: "claim " + to.claim + " can " + made + to.volume,
	}
}

// isOlder is true for a claim that waited for a volume before this way was
// taken: one that came since is for the volume at its end, which is reserved for
// its name.
func isOlder(claim *corev1.PersistentVolumeClaim, way Way) bool {
	return claim.CreationTimestamp.Time.Before(way.since.Truncate(time.Second))
}

// deletedOld deletes a claim whose volume is known to be kept and that nobody
// else uses. Where the template is repointed claims have names of their own, and
// one that somebody has made is left alone.
func (s *State) deletedOld(c *v1alpha1.RestoredClaim, claim *corev1.PersistentVolumeClaim, way Way) claimNeed {
	if s.Restore.Status.Strategy == v1alpha1.StrategyRepoint {
		return claimNeed{waits: fmt.Sprintf("the claim %s, which somebody has made, is bound to PersistentVolume %s or gone", claim.Name, c.PreviousVolume)}
	}
	if p := s.obstacle(way); p != nil {
		p.Passing = p.Passing || way.IsBack
		return claimNeed{problem: p}
	}
	need := s.goingClaim(c, claim)
	if v := s.Volumes[heldVolume(claim)]; v == nil || isRetained(v) {
		need.changes = append(need.changes, deletedClaim(claim)...)
	}
	return need
}

// goingClaim keeps the volume of a claim that goes, deletes the finished pods of
// the application that would hold the claim, and waits until it is gone.
func (s *State) goingClaim(c *v1alpha1.RestoredClaim, claim *corev1.PersistentVolumeClaim) claimNeed {
	bound := heldVolume(claim)
	need := claimNeed{waits: fmt.Sprintf("the old claim %s is gone%s", claim.Name, s.heldBy(claim))}
	if v := s.Volumes[bound]; v != nil && !isRetained(v) && s.knows(c, bound) {
		need.changes = s.changedVolume(v, s.retain(c, false))
		return need
	}
	need.changes = s.deletedFinished(claim.Name)
	return need
}

// knows is true for a volume of the restore.
func (*State) knows(c *v1alpha1.RestoredClaim, volume string) bool {
	return volume == c.PreviousVolume || volume == c.RestoredVolume || volume == c.CurrentVolume
}

// obstacle is what stands in the way of deleting those of the claims that don't
// lead to the end of the way yet, nil where nothing does. It is the same for
// each of them: either all can be replaced, or none is touched.
func (s *State) obstacle(way Way) *v1alpha1.Problem {
	for c := range s.claims() {
		claim := s.Claims[way.to(c).claim]
		if claim == nil || isGoing(claim) || way.isThere(s, c) || claim.Spec.VolumeName == way.to(c).volume {
			continue
		}
		if p := s.checkDeletable(c, claim); p != nil {
			return p
		}
	}
	return nil
}

// checkDeletable refuses to delete a claim for another volume than this restore
// knows, that could not be brought back, or that somebody else uses. What was
// looked at before the application was stopped is looked at again.
func (s *State) checkDeletable(c *v1alpha1.RestoredClaim, claim *corev1.PersistentVolumeClaim) *v1alpha1.Problem {
	if bound := heldVolume(claim); bound != "" && !s.knows(c, bound) {
		return v1alpha1.Problemf(v1alpha1.ReasonClaimHeld,
			"claim %s is bound to %s, which this restore doesn't know: somebody has made it anew meanwhile. Where it isn't needed: kubectl delete pvc -n %s %s", claim.Name, bound, s.Restore.Namespace, claim.Name)
	}
	if need := checkWayBack(s); !WayOf(s.Restore).IsBack && need.Problem != nil {
		return need.Problem
	}
	for i := range s.Others {
		if p := &s.Others[i]; workload.Mounts(p, claim.Name) {
			return v1alpha1.Problemf(v1alpha1.ReasonClaimInUse,
				"pod %s, of another application, uses PersistentVolumeClaim %s by now, which therefore can't be replaced: wait until it is gone, or kubectl delete pod -n %s %s", p.Name, claim.Name, s.Restore.Namespace, p.Name)
		}
	}
	others := s.Others
	if WayOf(s.Restore).IsBack {
		others = nil // one that waits for a node has no hold on it, and the application is down
	}
	return checkReplaceable(claim.Name, claim, others)
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

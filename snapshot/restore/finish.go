package restore

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// release lets the new volumes be as any other, pauses the rollout where it was
// paused, and lets go what is not to be kept. Whoever else still holds a
// previous claim, a finished pod for one, may keep it for a while: the restore
// is done all the same.
func (s *State) release() Need {
	return Need{Changes: append(paused(s.Workload, s.Restore.Status.Paused), s.changes(s.releasedClaim)...)}
}

func (s *State) releasedClaim(c *v1alpha1.RestoredClaim) []Change {
	changes := s.released(s.restoredVolume(c), c.RestoredPolicy)
	if s.Restore.Spec.PreviousClaims == v1alpha1.PreviousDelete && StillMounted(s, c) == "" {
		changes = append(changes, s.deletedPrevious(c)...)
	}
	return changes
}

// deletedPrevious gives the previous volume its own reclaim policy back, and
// deletes its claim: what follows is what its class says.
func (s *State) deletedPrevious(c *v1alpha1.RestoredClaim) []Change {
	changes := s.released(s.previousVolume(c), c.PreviousPolicy)
	claim := deletedClaim(s.Claims[c.PreviousClaim])
	if s.Restore.Status.Strategy != v1alpha1.StrategyRepoint || len(claim) == 0 {
		return changes
	}
	return slices.Concat(changes, s.deletedFinished(c.PreviousClaim), claim)
}

// released gives a volume its own reclaim policy back, and takes our marks off.
func (s *State) released(v *corev1.PersistentVolume, policy corev1.PersistentVolumeReclaimPolicy) []Change {
	if v == nil || hasPolicy(v, policy) && !isPrevious(v) && v.Labels[v1alpha1.LabelRestoreUID] == "" {
		return nil
	}
	return s.changedVolume(v, ownPolicy(policy))
}

func hasPolicy(v *corev1.PersistentVolume, policy corev1.PersistentVolumeReclaimPolicy) bool {
	return policy == "" || v.Spec.PersistentVolumeReclaimPolicy == policy
}

func ownPolicy(policy corev1.PersistentVolumeReclaimPolicy) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) {
		v.Spec.PersistentVolumeReclaimPolicy = cmp.Or(policy, v.Spec.PersistentVolumeReclaimPolicy)
		unmark(v)
	}
}

// StillMounted says who mounts a previous claim that was to be deleted, empty
// where nobody does. Such a claim stays as it is kept: what is written there
// meanwhile is in no backup.
func StillMounted(s *State, c *v1alpha1.RestoredClaim) string {
	if s.Restore.Status.Strategy != v1alpha1.StrategyRepoint {
		return "" // its claim was deleted when it was replaced
	}
	if s.Workload != nil && s.Workload.MayMount(c.PreviousClaim) {
		return applicationName(s.Restore.Status.Application)
	}
	for _, p := range workload.Unfinished(s.Others) {
		if slices.Contains(workload.ClaimsOf(&p), c.PreviousClaim) {
			return "pod " + p.Name
		}
	}
	return ""
}

// discardLimit is how long a restore that is undone waits for what it has
// deleted. All is written then, so that it goes by itself once it can.
const discardLimit = 2 * time.Minute

// discard gives the previous volumes back as they were. The new ones are kept
// where the application has run on them, for what it wrote there, and removed
// where it has not: the backup still holds what is in them.
func (s *State) discard() Need {
	changes := s.changes(s.discardedClaim)
	if s.Restore.Status.ScaledDownAt != nil {
		changes = append(paused(s.Workload, s.Restore.Status.Paused), changes...)
	}
	going := s.going()
	if len(going) == 0 {
		return Need{Changes: changes}
	}
	rb := s.Restore.Status.RollBack
	return Need{Changes: changes, Wait: &Wait{
		Before: "waits until what was only made for the restore is gone: ", For: going,
		Until:  cmp.Or(rb.ReadyAt, &rb.StartedAt).Add(discardLimit),
		GoesOn: true, Note: "; still being deleted: " + strings.Join(going, ", "),
	}}
}

func (s *State) discardedClaim(c *v1alpha1.RestoredClaim) []Change {
	changes := s.released(s.previousVolume(c), c.PreviousPolicy)
	if previous := s.Claims[c.PreviousClaim]; previous != nil && isPrevious(previous) {
		changes = append(changes, changedClaim(previous, unmarkPrevious)...)
	}
	return append(changes, s.discardedRestored(c)...)
}

// unmarkPrevious makes a claim that was replaced the application's again. One
// that an earlier restore made keeps the labels of that.
func unmarkPrevious(claim *corev1.PersistentVolumeClaim) {
	if claim.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy {
		delete(claim.Labels, v1alpha1.LabelPrevious)
		return
	}
	unmark(claim)
}

func (s *State) discardedRestored(c *v1alpha1.RestoredClaim) []Change {
	v := s.restoredVolume(c)
	switch {
	case strategyOf(s.Restore).isInUse(s, c):
		return s.released(v, c.RestoredPolicy)
	case s.Restore.Status.ScaledUpAt == nil:
		return s.removedRestored(c)
	case c.TemporaryClaim == "":
		return append(s.keptPrevious(v, c), s.markedPrevious(s.Claims[c.RestoredClaim], c)...)
	}
	return s.keptPrevious(v, c)
}

// removedRestored lets a new volume go that the application has never run on, and
// then its claim: without that nothing may name the volume any more.
func (s *State) removedRestored(c *v1alpha1.RestoredClaim) []Change {
	claim := s.Claims[NewClaimName(c)]
	if claim != nil && !madeBy(s.Restore, claim) {
		claim = nil
	}
	v := s.restoredVolume(c)
	if v == nil && claim != nil && c.RestoredVolume == "" { // before it was seen to mount
		if v = s.Volumes[heldVolume(claim)]; v != nil && !isTakenBy(v, claim) {
			v = nil
		}
	}
	if changes := s.letGo(c, v); len(changes) > 0 {
		return changes
	}
	return deletedClaim(claim)
}

// letGo has a new volume go with its claim, also where its class keeps volumes:
// nobody asked for one to be kept that was only made for the restore. One that was
// there before, or is somebody else's by now, goes as its class says.
func (s *State) letGo(c *v1alpha1.RestoredClaim, v *corev1.PersistentVolume) []Change {
	if v == nil {
		return nil
	}
	policy := c.RestoredPolicy
	if isMadeSince := !v.CreationTimestamp.Before(&s.Restore.CreationTimestamp); isMadeSince && s.claimedBy(c, v) == "" {
		policy = corev1.PersistentVolumeReclaimDelete
	}
	if c.TemporaryClaim == "" || v.Spec.ClaimRef == nil || v.Spec.ClaimRef.Name != c.RestoredClaim {
		return s.released(v, policy)
	}
	return s.changedVolume(v, func(v *corev1.PersistentVolume) {
		ownPolicy(policy)(v)
		// The UID is no claim's: the volume is released, and goes.
		reserve(s.Restore.Namespace, c.TemporaryClaim, s.Restore.UID)(v)
	})
}

// going is what was only made for the restore and is being deleted.
func (s *State) going() []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(s.MountChecks)) {
		all = append(all, "pod "+name)
	}
	for c := range s.claims() {
		claim := s.Claims[NewClaimName(c)]
		if claim != nil && !claim.DeletionTimestamp.IsZero() && madeBy(s.Restore, claim) {
			all = append(all, "PersistentVolumeClaim "+claim.Name)
		}
	}
	return all
}

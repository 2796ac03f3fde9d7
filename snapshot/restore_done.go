package snapshot

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// claimsMade is true where every claim that is expected is there and ours.
func claimsMade(r *v1alpha1.VolumeRestore, o RestoreObserved) bool {
	return every(r, func(c *v1alpha1.RestoredClaim) bool {
		claim := o.Claims[NewClaimName(c)]
		return claim != nil && claim.DeletionTimestamp.IsZero() && madeBy(r, claim)
	})
}

// LostClaims says which of the new claims or volumes went away after they were
// proven and before the application was led to them, empty where none did. A
// temporary claim may go once its volume is retained.
func LostClaims(r *v1alpha1.VolumeRestore, o RestoreObserved) string {
	if r.Status.RollBack != nil || !holds(r, v1alpha1.ConditionClaimsReady) || holds(r, v1alpha1.ConditionSwapped) {
		return ""
	}
	for i := range r.Status.Claims {
		c := &r.Status.Claims[i]
		v := o.Volumes[c.RestoredVolume]
		if v == nil || !v.DeletionTimestamp.IsZero() {
			return fmt.Sprintf("PersistentVolume %s, which was made for %s, was deleted by somebody: nothing of it is needed, restore again", c.RestoredVolume, NewClaimName(c))
		}
		claim := o.Claims[NewClaimName(c)]
		there := claim != nil && claim.DeletionTimestamp.IsZero() && claim.Spec.VolumeName == c.RestoredVolume
		if needed := c.TemporaryClaim == "" || !retained(v); needed && !there {
			return fmt.Sprintf("the new PersistentVolumeClaim %s was deleted by somebody: restore again", NewClaimName(c))
		}
	}
	return ""
}

// LostMounts says which volume of the pod template its owner has changed since
// it was resolved, so that pointing it at a new claim would restore nothing.
// Empty where none was. Once the application is stopped the template may lead to
// the new claims already.
func LostMounts(r *v1alpha1.VolumeRestore, o RestoreObserved) string {
	if r.Status.Strategy != v1alpha1.StrategyRepoint || r.Status.RollBack != nil || holds(r, v1alpha1.ConditionSwapped) || o.Workload == nil {
		return ""
	}
	for i := range r.Status.Claims {
		c := &r.Status.Claims[i]
		for _, volume := range c.TemplateVolumes {
			at := o.Workload.ClaimAt(volume)
			if at != c.PreviousClaim && (at != c.RestoredClaim || r.Status.ScaledDownAt == nil) {
				return fmt.Sprintf("the pod template of %s was changed meanwhile: its volume %s doesn't mount claim %s any more. Restore again", applicationName(r.Status.Application), volume, c.PreviousClaim)
			}
		}
	}
	return ""
}

// kept is true where every previous volume is retained and marked, and so are
// the new ones where their claims are going to be deleted.
func kept(r *v1alpha1.VolumeRestore, o RestoreObserved) bool {
	return every(r, func(c *v1alpha1.RestoredClaim) bool {
		previous := o.Volumes[c.PreviousVolume]
		if c.PreviousVolume != "" && (previous == nil || !retained(previous) || previous.Labels[v1alpha1.LabelPrevious] == "") {
			return false
		}
		restored := o.Volumes[c.RestoredVolume]
		return c.TemporaryClaim == "" || restored != nil && retained(restored)
	})
}

// keptBack is true where the volumes that the application is taken from are
// retained, and the one that it gets back.
func keptBack(r *v1alpha1.VolumeRestore, o RestoreObserved) bool {
	return every(r, func(c *v1alpha1.RestoredClaim) bool {
		names := []string{c.PreviousVolume, BoundVolume(r, c, o)}
		if r.Status.Strategy == v1alpha1.StrategyRepoint {
			names = append(names, c.RestoredVolume)
		}
		for _, name := range names {
			if v := o.Volumes[name]; v != nil && !retained(v) {
				return false
			}
		}
		return true
	})
}

// CurrentClaim is the claim that the application mounts now in the place of
// one of the restore's, empty where it mounts none.
func CurrentClaim(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, o RestoreObserved) string {
	if r.Status.Strategy != v1alpha1.StrategyRepoint {
		return c.RestoredClaim
	}
	if o.Workload == nil || len(c.TemplateVolumes) == 0 {
		return ""
	}
	return o.Workload.ClaimAt(c.TemplateVolumes[0])
}

// BoundVolume is the volume that the application's claim leads to now, empty
// where there is none.
func BoundVolume(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, o RestoreObserved) string {
	return HeldVolume(o.Claims[CurrentClaim(r, c, o)])
}

// HeldVolume is the volume that a claim has, empty where it has none. The name
// in its spec is what its owner wishes: it may be anybody's volume.
func HeldVolume(claim *corev1.PersistentVolumeClaim) string {
	if claim == nil || claim.Status.Phase != corev1.ClaimBound {
		return ""
	}
	return claim.Spec.VolumeName
}

// Keeper is the claim, with its namespace, that a volume of the restore has
// come to be for meanwhile, empty where it is for one of the restore's own or
// for anybody. A volume is never taken away from another claim.
func Keeper(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, v *corev1.PersistentVolume) string {
	ref := v.Spec.ClaimRef
	if ref == nil || ref.Namespace == r.Namespace && slices.Contains([]string{c.PreviousClaim, c.RestoredClaim, c.TemporaryClaim}, ref.Name) {
		return ""
	}
	return ref.Namespace + "/" + ref.Name
}

func retained(v *corev1.PersistentVolume) bool {
	return v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain
}

// reserved is true where the temporary claims are gone and the new volumes are
// for the old names: whoever makes a claim of that name gets that volume.
func reserved(r *v1alpha1.VolumeRestore, o RestoreObserved) bool {
	return every(r, func(c *v1alpha1.RestoredClaim) bool {
		return o.Claims[c.TemporaryClaim] == nil && Reserved(r.Namespace, c, o)
	})
}

// Reserved is true where the application's claim is bound to the new volume, or
// will be once it is made.
func Reserved(namespace string, c *v1alpha1.RestoredClaim, o RestoreObserved) bool {
	v, there := o.Volumes[c.RestoredVolume], o.Claims[c.RestoredClaim]
	if v == nil || v.Spec.ClaimRef == nil {
		return false
	}
	return ReservedForAny(v, namespace, c.RestoredClaim) || there != nil && there.UID == v.Spec.ClaimRef.UID
}

// ReservedForAny is true for a volume that whichever claim of that name gets
// that is made next.
func ReservedForAny(v *corev1.PersistentVolume, namespace, claim string) bool {
	ref := v.Spec.ClaimRef
	return ref != nil && ref.Namespace == namespace && ref.Name == claim && ref.UID == ""
}

func stopped(o RestoreObserved) bool { return o.Workload == nil || o.Workload.Replicas == 0 }

// started doesn't compare with the number of before: an autoscaler may have
// gone on from it.
func started(r *v1alpha1.VolumeRestore, o RestoreObserved, told bool) bool {
	return o.Workload == nil || told && (o.Workload.Replicas > 0 || r.Status.Replicas == nil || *r.Status.Replicas == 0)
}

// OnRestored is true for a claim that leads the application to its new volume.
func OnRestored(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, o RestoreObserved) bool {
	if r.Status.Strategy == v1alpha1.StrategyRepoint {
		return pointsAt(c, o, c.RestoredClaim)
	}
	return boundTo(o.Claims[c.RestoredClaim], c.RestoredVolume)
}

// OnPrevious is true for a claim that leads the application to its previous
// volume, or that has none to go back to.
func OnPrevious(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, o RestoreObserved) bool {
	if r.Status.Strategy == v1alpha1.StrategyRepoint {
		return o.Workload == nil || !slices.ContainsFunc(LedVolumes(c, o), func(volume string) bool {
			return o.Workload.ClaimAt(volume) != c.PreviousClaim
		})
	}
	return c.PreviousVolume == "" || boundTo(o.Claims[c.RestoredClaim], c.PreviousVolume)
}

// LedVolumes are the volumes of the pod template that are led from one claim to
// the other: those that the restore found, as far as they are there and mount a
// claim, and whichever its owner has put there for the new claim since.
func LedVolumes(c *v1alpha1.RestoredClaim, o RestoreObserved) []string {
	if o.Workload == nil {
		return nil
	}
	led := o.Workload.templateVolumes(c.RestoredClaim)
	for _, volume := range c.TemplateVolumes {
		if o.Workload.ClaimAt(volume) != "" && !slices.Contains(led, volume) {
			led = append(led, volume)
		}
	}
	return led
}

// SwappedBack is true where all claims lead the application to its previous
// volumes.
func SwappedBack(r *v1alpha1.VolumeRestore, o RestoreObserved) bool {
	return every(r, func(c *v1alpha1.RestoredClaim) bool { return OnPrevious(r, c, o) })
}

func pointsAt(c *v1alpha1.RestoredClaim, o RestoreObserved, claim string) bool {
	if o.Workload == nil {
		return false
	}
	for _, volume := range c.TemplateVolumes {
		if o.Workload.ClaimAt(volume) != claim {
			return false
		}
	}
	return true
}

func boundTo(claim *corev1.PersistentVolumeClaim, volume string) bool {
	return claim != nil && claim.DeletionTimestamp.IsZero() && claim.Spec.VolumeName == volume && claim.Status.Phase == corev1.ClaimBound
}

// released is true where the new volumes have the reclaim policy of their
// class, the rollout is paused where it was, and what is not to be kept is let
// go.
func released(r *v1alpha1.VolumeRestore, o RestoreObserved) bool {
	if o.Workload != nil && o.Workload.Paused != r.Status.Paused {
		return false
	}
	return every(r, func(c *v1alpha1.RestoredClaim) bool {
		if !letGo(o.Volumes[c.RestoredVolume], c.RestoredPolicy) {
			return false
		}
		if r.Spec.PreviousClaims != v1alpha1.PreviousDelete {
			return true
		}
		if StillMounted(r, c, o) != "" {
			return true
		}
		// Whoever else still holds the claim, a finished pod for one, may keep it
		// for a while: the restore is done all the same.
		previous := o.Claims[c.PreviousClaim]
		deleted := r.Status.Strategy != v1alpha1.StrategyRepoint || previous == nil || !previous.DeletionTimestamp.IsZero()
		return deleted && letGo(o.Volumes[c.PreviousVolume], c.PreviousPolicy)
	})
}

// StillMounted says who mounts a previous claim that was to be deleted, empty
// where nobody does. Such a claim stays as it is kept: what is written there now
// is in no backup.
func StillMounted(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, o RestoreObserved) string {
	if r.Status.Strategy != v1alpha1.StrategyRepoint {
		return "" // its claim was deleted when it was replaced
	}
	if o.Workload != nil && o.Workload.MayMount(c.PreviousClaim) {
		return applicationName(r.Status.Application)
	}
	for i := range o.Others {
		if p := &o.Others[i]; !Finished(p) && slices.Contains(mountedBy(&p.Spec), c.PreviousClaim) {
			return "pod " + p.Name
		}
	}
	return ""
}

// discarded is true where the previous volumes are as they were, and nothing
// is left that was only made for the restore.
func discarded(r *v1alpha1.VolumeRestore, o RestoreObserved) bool {
	if len(o.Proofs) > 0 || o.Workload != nil && r.Status.ScaledDownAt != nil && o.Workload.Paused != r.Status.Paused {
		return false
	}
	return every(r, func(c *v1alpha1.RestoredClaim) bool {
		if previous := o.Claims[c.PreviousClaim]; previous != nil && previous.Labels[v1alpha1.LabelPrevious] != "" {
			return false
		}
		return letGo(o.Volumes[c.PreviousVolume], c.PreviousPolicy) && restoredDiscarded(r, c, o)
	})
}

// proofsGo is true where no pod that proves claims is left that isn't being
// deleted.
func proofsGo(o RestoreObserved) bool {
	for _, p := range o.Proofs {
		if p.DeletionTimestamp.IsZero() {
			return false
		}
	}
	return true
}

// Going is what was only made for the restore and is being deleted.
func Going(r *v1alpha1.VolumeRestore, o RestoreObserved) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(o.Proofs)) {
		all = append(all, "pod "+name)
	}
	for i := range r.Status.Claims {
		claim := o.Claims[NewClaimName(&r.Status.Claims[i])]
		if claim != nil && !claim.DeletionTimestamp.IsZero() && madeBy(r, claim) {
			all = append(all, "PersistentVolumeClaim "+claim.Name)
		}
	}
	return all
}

func madeBy(r *v1alpha1.VolumeRestore, claim *corev1.PersistentVolumeClaim) bool {
	return claim.Labels[v1alpha1.LabelRestoreUID] == string(r.UID)
}

// restoredDiscarded is true where the new volume is kept and marked, because
// the application has run on it, or is let go with its claim.
func restoredDiscarded(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, o RestoreObserved) bool {
	if InUse(r, c, o) {
		return letGo(o.Volumes[c.RestoredVolume], c.RestoredPolicy)
	}
	v := o.Volumes[c.RestoredVolume]
	if r.Status.ScaledUpAt != nil {
		claim := o.Claims[c.RestoredClaim]
		claimMarked := c.TemporaryClaim != "" || claim == nil || claim.Labels[v1alpha1.LabelPrevious] != ""
		return claimMarked && (v == nil || retained(v) && v.Labels[v1alpha1.LabelPrevious] != "")
	}
	if mine := o.Claims[NewClaimName(c)]; mine != nil && madeBy(r, mine) {
		return false
	}
	return v == nil || letGo(v, c.RestoredPolicy) && (c.TemporaryClaim == "" || v.Spec.ClaimRef == nil || v.Spec.ClaimRef.Name != c.RestoredClaim)
}

// InUse is true for a new volume that the application still has: where there
// was none before, it has nothing to go back to.
func InUse(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, o RestoreObserved) bool {
	if r.Status.Strategy == v1alpha1.StrategyReplace {
		return c.RestoredVolume != "" && BoundVolume(r, c, o) == c.RestoredVolume
	}
	return o.Workload != nil && o.Workload.MayMount(c.RestoredClaim)
}

// letGo is true for a volume that has its own reclaim policy and no mark of
// ours.
func letGo(v *corev1.PersistentVolume, policy corev1.PersistentVolumeReclaimPolicy) bool {
	return v == nil || hasPolicy(v, policy) && v.Labels[v1alpha1.LabelPrevious] == "" && v.Labels[v1alpha1.LabelRestoreUID] == ""
}

func hasPolicy(v *corev1.PersistentVolume, policy corev1.PersistentVolumeReclaimPolicy) bool {
	return v == nil || policy == "" || v.Spec.PersistentVolumeReclaimPolicy == policy
}

func every(r *v1alpha1.VolumeRestore, is func(*v1alpha1.RestoredClaim) bool) bool {
	for i := range r.Status.Claims {
		if !is(&r.Status.Claims[i]) {
			return false
		}
	}
	return true
}

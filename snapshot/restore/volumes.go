package restore

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// RecordPreviousClaims gives previous claims another name whose own somebody has
// given to another claim: the previous volumes are what a way back leads to. By
// Replace a claim has no other name.
func RecordPreviousClaims(s *State) {
	if s.Restore.Status.Strategy != v1alpha1.StrategyRepoint {
		return
	}
	for c := range s.claims() {
		claim := s.Claims[c.PreviousClaim]
		if bound := heldVolume(claim); c.PreviousVolume != "" && bound != "" && bound != c.PreviousVolume && !isGoing(claim) {
			c.PreviousClaim = previousClaimName(c.OriginalClaim, s.Restore.UID, c.ClaimName)
		}
	}
}

// RecordPolicies writes the reclaim policies of the volumes into the status as
// they are before this restore changes them.
func RecordPolicies(s *State) {
	for c := range s.claims() {
		if v := s.previousVolume(c); v != nil && c.PreviousPolicy == "" {
			c.PreviousPolicy = v.Spec.PersistentVolumeReclaimPolicy
		}
		if v := s.restoredVolume(c); v != nil && c.RestoredPolicy == "" {
			c.RestoredPolicy = v.Spec.PersistentVolumeReclaimPolicy
		}
		if v := s.laterVolume(c); v != nil && c.CurrentVolume == "" && WayOf(s.Restore).IsBack {
			c.CurrentVolume, c.CurrentPolicy = v.Name, v.Spec.PersistentVolumeReclaimPolicy
		}
	}
}

// laterVolume is the volume of the application's claim where it is neither the
// restored nor the previous one: a later restore has put it there.
func (s *State) laterVolume(c *v1alpha1.RestoredClaim) *corev1.PersistentVolume {
	if bound := s.boundVolume(c); bound != c.PreviousVolume && bound != c.RestoredVolume {
		return s.Volumes[bound]
	}
	return nil
}

// keepVolumes retains what a claim's deletion could take along, and marks it.
//
// A previous volume that is gone once the application is stopped is no reason to
// go back: there is nothing there.
func (s *State) keepVolumes() Need {
	gone := s.previousGone()
	if !WayOf(s.Restore).IsBack {
		if s.Restore.Status.ScaledDownAt != nil {
			gone = nil
		} else if p := s.previousForeign(); p != nil {
			gone = p
		}
		return Need{Changes: s.changes(s.kept), Problem: gone}
	}
	changes := s.changes(s.keptBack)
	if len(changes) == 0 {
		gone = nil // nothing is taken away that would be lost
	}
	return Need{Changes: changes, Problem: gone}
}

func (s *State) previousGone() *v1alpha1.Problem {
	for c := range s.claims() {
		if c.PreviousVolume != "" && s.previousVolume(c) == nil {
			return v1alpha1.Problemf(v1alpha1.ReasonPreviousGone, "PersistentVolume %s, which claim %s names, is gone", c.PreviousVolume, c.PreviousClaim)
		}
	}
	return nil
}

// previousForeign refuses to go on where a claim's deletion may take a volume along
// that the restore may not change.
func (s *State) previousForeign() *v1alpha1.Problem {
	for c := range s.claims() {
		if v := s.previousVolume(c); v != nil {
			if why := s.foreign(v); why != "" {
				return v1alpha1.Problemf(v1alpha1.ReasonVolumeNotOwned, "PersistentVolume %s, which claim %s is said to have, %s: it isn't touched", c.PreviousVolume, c.PreviousClaim, why)
			}
		}
	}
	return nil
}

// kept retains and marks the previous volume, and retains the new one where its
// claim is going to be deleted. A previous claim that stays is marked too.
func (s *State) kept(c *v1alpha1.RestoredClaim) []Change {
	var changes []Change
	if v := s.previousVolume(c); v != nil && (!isRetained(v) || !isPrevious(v) || !s.isMarked(v)) {
		changes = s.changedVolume(v, s.retain(c, true))
	}
	if c.TemporaryClaim == "" {
		return append(changes, s.markedPrevious(s.Claims[c.PreviousClaim], c)...)
	}
	return append(changes, s.keptUnmarked(s.restoredVolume(c), c)...)
}

// keptBack retains the volume that the application is taken from, and the one
// that it gets back.
func (s *State) keptBack(c *v1alpha1.RestoredClaim) []Change {
	var changes []Change
	if v := s.previousVolume(c); v != nil && !isRetained(v) {
		changes = append(changes, s.keptPrevious(v, c)...)
	}
	repoints := s.Restore.Status.Strategy == v1alpha1.StrategyRepoint
	if later := s.laterVolume(c); later != nil {
		if repoints {
			changes = append(changes, s.markedPrevious(s.Claims[s.CurrentClaim(c)], c)...)
		}
		if !isRetained(later) {
			changes = append(changes, s.keptPrevious(later, c)...)
		}
	}
	if repoints || s.boundVolume(c) == c.RestoredVolume {
		changes = append(changes, s.keptUnmarked(s.restoredVolume(c), c)...)
	}
	return changes
}

func (s *State) keptPrevious(v *corev1.PersistentVolume, c *v1alpha1.RestoredClaim) []Change {
	if v == nil || isRetained(v) && isPrevious(v) {
		return nil
	}
	return s.changedVolume(v, s.retain(c, true))
}

// keptUnmarked retains a volume that isn't a previous one. It is labelled as the
// restore's all the same: nothing else says so once its claim is gone.
func (s *State) keptUnmarked(v *corev1.PersistentVolume, c *v1alpha1.RestoredClaim) []Change {
	if v == nil || isRetained(v) && s.isMarked(v) {
		return nil
	}
	return s.changedVolume(v, s.retain(c, false))
}

func (s *State) markedPrevious(claim *corev1.PersistentVolumeClaim, c *v1alpha1.RestoredClaim) []Change {
	if claim == nil || isPrevious(claim) {
		return nil
	}
	return changedClaim(claim, func(claim *corev1.PersistentVolumeClaim) { s.markPrevious(c, claim) })
}

// reserveVolumes frees the new volumes of their temporary claims, and keeps them
// for claims of the old names: whoever makes such a claim then, this restore or
// a tool that manages it, gets that volume.
func (s *State) reserveVolumes() Need {
	changes, waits, problem := s.gather(s.reserved)
	if problem != nil || len(waits) == 0 {
		return Need{Problem: problem, Changes: changes}
	}
	return Need{Changes: changes, Wait: s.waitRunning("waits until these temporary claims are gone: ", waits,
		v1alpha1.ReasonClaimHeld, "temporary claims don't go: "+strings.Join(waits, ", "))}
}

func (s *State) reserved(c *v1alpha1.RestoredClaim) claimNeed {
	if temporary := s.Claims[c.TemporaryClaim]; temporary != nil {
		return claimNeed{changes: deletedClaim(temporary), waits: c.TemporaryClaim + s.heldBy(temporary)}
	}
	if v := s.restoredVolume(c); v != nil && !s.isReserved(c, v) {
		return s.reservedFor(c, v, c.RestoredClaim)
	}
	return claimNeed{}
}

// heldBy says what keeps a claim from going, and how a person lets it go; empty
// for nothing.
func (s *State) heldBy(claim *corev1.PersistentVolumeClaim) string {
	if !isGoing(claim) || len(claim.Finalizers) == 0 {
		return ""
	}
	var holders []string
	for i := range s.Others {
		if p := &s.Others[i]; workload.Mounts(p, claim.Name) {
			holders = append(holders, fmt.Sprintf("pod %s of another application: kubectl delete pod -n %s %s", p.Name, s.Restore.Namespace, p.Name))
		}
	}
	for _, f := range claim.Finalizers {
		if f != finalizerProtection {
			holders = append(holders, fmt.Sprintf("the finalizer %s: kubectl edit pvc -n %s %s", f, s.Restore.Namespace, claim.Name))
		}
	}
	if len(holders) == 0 {
		holders = []string{fmt.Sprintf("%s: kubectl describe pvc -n %s %s says who uses it", strings.Join(claim.Finalizers, ", "), s.Restore.Namespace, claim.Name)}
	}
	return " (held by " + strings.Join(holders, ", ") + ")"
}

// finalizerProtection keeps a claim while a pod that has a node names it. Such a
// pod needn't run for that: one that comes once the claim is being deleted
// doesn't start, and holds it all the same
// (https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection).
const finalizerProtection = "kubernetes.io/pvc-protection"

// waitRunning is a wait before the application is stopped. The new claims may
// take that long once more.
func (s *State) waitRunning(before string, what []string, reason, late string) *Wait {
	return &Wait{
		Before: before, For: what, After: "; the application runs", Until: s.runningUntil(),
		Late: v1alpha1.Problem{Reason: reason, Message: late},
	}
}

// runningUntil is until when a restore whose claims mount may still wait before
// it stops the application.
func (s *State) runningUntil() time.Time {
	mounted := s.condition(v1alpha1.ConditionClaimsReady)
	if mounted == nil {
		return s.Now
	}
	if filled := s.condition(v1alpha1.ConditionClaimsFilled); filled != nil {
		mounted = filled
	}
	return mounted.LastTransitionTime.Add(s.ClaimTimeout)
}

// reservedFor keeps a volume of the restore for whichever claim of that name is
// made next.
func (s *State) reservedFor(c *v1alpha1.RestoredClaim, v *corev1.PersistentVolume, claim string) claimNeed {
	if other := s.claimedBy(c, v); other != "" {
		return claimNeed{problem: v1alpha1.Problemf(v1alpha1.ReasonPreviousGone,
			"PersistentVolume %s belongs to PersistentVolumeClaim %s by now and isn't taken away from it", v.Name, other)}
	}
	if why := s.foreign(v); why != "" {
		return claimNeed{problem: v1alpha1.Problemf(v1alpha1.ReasonVolumeNotOwned,
			"PersistentVolume %s %s: it isn't taken. Where it is this restore's all the same: %s", v.Name, why, s.markCommand(v))}
	}
	return claimNeed{changes: s.changedVolume(v, reserve(s.Restore.Namespace, claim, ""))}
}

// reserve points a volume at a claim. Without a UID it is kept for any claim of
// that name; with one that no claim has, it is released.
func reserve(namespace, claim string, uid types.UID) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) {
		v.Spec.ClaimRef = &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: namespace, Name: claim, UID: uid}
		delete(v.Annotations, "pv.kubernetes.io/bound-by-controller")
	}
}

// isReserved is true where the application's claim is bound to the new volume,
// or will be once it is made.
func (s *State) isReserved(c *v1alpha1.RestoredClaim, v *corev1.PersistentVolume) bool {
	there := s.Claims[c.RestoredClaim]
	bound := there != nil && v.Spec.ClaimRef != nil && there.UID == v.Spec.ClaimRef.UID
	return bound || isReservedForAny(v, s.Restore.Namespace, c.RestoredClaim)
}

// isReservedForAny is true for a volume that whichever claim of that name gets
// that is made next.
func isReservedForAny(v *corev1.PersistentVolume, namespace, claim string) bool {
	ref := v.Spec.ClaimRef
	return ref != nil && ref.Namespace == namespace && ref.Name == claim && ref.UID == ""
}

// claimedBy is the claim, with its namespace, that a volume of the restore has
// come to be for meanwhile, empty where it is for one of the restore's own, for
// one that is gone, or for anybody. A volume is never taken away from another
// claim.
func (s *State) claimedBy(c *v1alpha1.RestoredClaim, v *corev1.PersistentVolume) string {
	ref := v.Spec.ClaimRef
	if ref == nil {
		return ""
	}
	if ref.Namespace == s.Restore.Namespace {
		claim := s.Claims[ref.Name]
		isGone := ref.UID != "" && (claim == nil || claim.UID != ref.UID)
		if isGone || slices.Contains([]string{c.PreviousClaim, c.RestoredClaim, c.TemporaryClaim}, ref.Name) {
			return ""
		}
	}
	if ref.Namespace != s.Restore.Namespace {
		return "of another namespace" // whose it is, is nobody's business here
	}
	return ref.Namespace + "/" + ref.Name
}

// ClaimsNamed are those of the restore's namespace that its volumes name.
func (s *State) ClaimsNamed() []string {
	var named []string
	for _, v := range s.Volumes {
		if ref := v.Spec.ClaimRef; ref != nil && ref.Namespace == s.Restore.Namespace {
			named = append(named, ref.Name)
		}
	}
	return named
}

func isRetained(v *corev1.PersistentVolume) bool {
	return v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain
}

// isPrevious is true for what is marked as replaced and kept.
func isPrevious(obj metav1.Object) bool { return obj.GetLabels()[v1alpha1.LabelPrevious] != "" }

// retain keeps a volume, whatever becomes of its claim.
func (s *State) retain(c *v1alpha1.RestoredClaim, previous bool) func(*corev1.PersistentVolume) {
	return func(v *corev1.PersistentVolume) {
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		marked := isPrevious(v)
		if s.markPrevious(c, v); !previous && !marked {
			delete(v.Labels, v1alpha1.LabelPrevious)
		}
	}
}

// markPrevious labels what is kept. A claim that an earlier restore made keeps
// the labels of that.
func (s *State) markPrevious(c *v1alpha1.RestoredClaim, obj workload.Object) {
	labels := maps.Clone(obj.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	if labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		maps.Copy(labels, claimLabels(s.Restore, c))
	}
	labels[v1alpha1.LabelPrevious] = "true"
	obj.SetLabels(labels)
}

// unmark takes our labels off what is the owner's again.
func unmark(obj workload.Object) {
	labels := maps.Clone(obj.GetLabels())
	maps.DeleteFunc(labels, func(key, _ string) bool { return strings.HasPrefix(key, "lull.dev/") })
	obj.SetLabels(labels)
}

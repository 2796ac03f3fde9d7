package restore

import (
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// What restores keep has mostly no claim any more, so that no quota counts it, and
// nobody but an administrator can delete it. So it is bounded, by namespace, and an
// owner lets go what a restore of theirs keeps by spec.releasePrevious:
//
//	the restore has ended ─ it is marked as kept by this restore ─ nobody mounts it,
//	or would ─ its volume gets its reclaim policy back ─ its claim, where it has
//	one, is deleted

// keptVolume is one that a restore keeps.
type keptVolume struct {
	volume *corev1.PersistentVolume
	// policy is the reclaim policy that it had.
	policy corev1.PersistentVolumeReclaimPolicy
	// claim is nil where the volume has none any more.
	claim *corev1.PersistentVolumeClaim
}

// IsReleaseAsked is true for a restore that has ended, and whose owner wants what it
// keeps let go, where that isn't answered. A way back that is asked for too comes
// first.
func IsReleaseAsked(v *v1alpha1.VolumeRestore) bool {
	if !v.Spec.ReleasePrevious || v.Status.Strategy == "" || !Ended(v) || IsRollBackAsked(v) {
		return false
	}
	answer := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionPreviousReleased)
	return answer == nil || answer.Status != metav1.ConditionTrue && answer.ObservedGeneration != v.Generation
}

// ReleasePrevious are the changes by which an ended restore lets go what it keeps, and
// the names of the volumes, or why all of it stays. workloads are those of the
// namespace.
func ReleasePrevious(s *State, workloads []workload.Workload) (changes []Change, volumes []string, _ *v1alpha1.Problem) {
	for c := range s.claims() {
		for _, k := range s.keptOf(c) {
			if user := s.userOf(&k, workloads); user != "" {
				return nil, nil, v1alpha1.Problemf(v1alpha1.ReasonClaimInUse,
					"PersistentVolume %s, which this restore keeps, is in use: %s. Nothing was let go. Once that is over ask again (spec.releasePrevious: false, then true)", k.volume.Name, user)
			}
			changes = append(changes, s.released(k.volume, k.policy)...)
			if k.claim != nil {
				changes = append(changes, s.deletedFinished(k.claim.Name)...)
				changes = append(changes, deletedClaim(k.claim)...)
			}
			volumes = append(volumes, k.volume.Name)
		}
	}
	return changes, volumes, nil
}

// keptOf are the volumes of a claim that are marked as kept: on themselves or, where
// they were let go and their claim wasn't yet, on that. One that the application was
// given isn't marked, and what a later restore keeps is marked as that one's.
func (s *State) keptOf(c *v1alpha1.RestoredClaim) []keptVolume {
	var all []keptVolume
	for _, k := range []keptVolume{
		{volume: s.previousVolume(c), policy: c.PreviousPolicy},
		{volume: s.restoredVolume(c), policy: c.RestoredPolicy},
		{volume: s.Volumes[c.CurrentVolume], policy: c.CurrentPolicy},
	} {
		if k.volume == nil || s.foreign(k.volume) != "" {
			continue
		}
		if s.isBoundHere(k.volume) {
			k.claim = s.Claims[k.volume.Spec.ClaimRef.Name]
		}
		isKept, isAnothers := isPrevious(k.volume) && s.isMarked(k.volume), k.volume.Labels[v1alpha1.LabelRestoreUID] != ""
		if isKept || !isAnothers && k.claim != nil && isPrevious(k.claim) {
			all = append(all, k)
		}
	}
	return all
}

// userOf says who has a kept volume, or would have it, empty where nobody does.
func (s *State) userOf(k *keptVolume, workloads []workload.Workload) string {
	if k.claim == nil {
		return "" // without a claim nobody can mount it
	}
	name := k.claim.Name
	if !isPrevious(k.claim) {
		return fmt.Sprintf("somebody has given it to PersistentVolumeClaim %s", name)
	}
	for _, pods := range [][]corev1.Pod{s.Pods, s.Others} {
		for _, p := range workload.Unfinished(pods) {
			for _, claim := range workload.ClaimsOf(&p) {
				if claim == name {
					return fmt.Sprintf("pod %s mounts its PersistentVolumeClaim %s", p.Name, name)
				}
			}
		}
	}
	for i := range workloads {
		if workloads[i].MayMount(name) {
			return fmt.Sprintf("%s mounts its PersistentVolumeClaim %s", named(&workloads[i]), name)
		}
	}
	return ""
}

// KeptIn are the volumes of a namespace that are marked as kept.
func KeptIn(namespace string, marked []corev1.PersistentVolume) []corev1.PersistentVolume {
	var all []corev1.PersistentVolume
	for i := range marked {
		if ref := marked[i].Spec.ClaimRef; ref != nil && ref.Namespace == namespace {
			all = append(all, marked[i])
		}
	}
	return all
}

// keeps is how many volumes the restore will keep.
func (p *proposal) keeps() int {
	if !p.touches() || p.Restore.Spec.PreviousClaims == v1alpha1.PreviousDelete {
		return 0
	}
	n := 0
	for _, c := range p.res.Claims {
		if heldVolume(p.Claims[c.PreviousClaim]) != "" {
			n++
		}
	}
	return n
}

// checkKept refuses to keep more than the administrator allows a namespace.
func checkKept(p *proposal) *v1alpha1.Problem {
	more := p.keeps()
	if p.MaxKept == 0 || more == 0 || len(p.Kept)+more <= p.MaxKept {
		return nil
	}
	var restores []string
	for i := range p.Kept {
		restores = append(restores, cmp.Or(p.Kept[i].Labels[v1alpha1.LabelRestore], "one that is gone"))
	}
	by := ""
	if len(restores) > 0 {
		by = " by VolumeRestore " + names.List(names.Set(restores))
	}
	return v1alpha1.Problemf(v1alpha1.ReasonTooManyKept,
		"restores keep %d volume(s) in namespace %s%s, this one would keep %d more, and at most %d are kept (the manager's --max-kept-volumes): let go what isn't needed (spec.releasePrevious: true on an ended restore), or write previousClaims: Delete",
		len(p.Kept), p.Restore.Namespace, by, more, p.MaxKept)
}

// WhatReleased tells what was let go, for people.
func WhatReleased(volumes []string) string {
	if len(volumes) == 0 {
		return "this restore keeps nothing, so there was nothing to let go"
	}
	return fmt.Sprintf("%d volume(s) were let go, and there is no way back to them: %s. A volume whose class keeps volumes (reclaimPolicy: Retain) is left to the administrator", len(volumes), strings.Join(volumes, ", "))
}

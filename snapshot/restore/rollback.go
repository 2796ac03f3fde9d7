package restore

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// IsRollBackAsked is true for a restore that its owner wants undone, and that
// isn't. One that failed to undo itself is tried once more when that is asked
// for, and one that was refused or failed as asked when it is asked for anew.
func IsRollBackAsked(v *v1alpha1.VolumeRestore) bool {
	rb := v.Status.RollBack
	switch answer := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionRolledBack); {
	case !v.Spec.RollBack || v.Status.Strategy == "" || answer != nil && answer.Status == metav1.ConditionTrue:
		return false
	case rb != nil && rb.EndedAt == nil:
		return false // under way
	case rb != nil && rb.Reason != v1alpha1.ReasonRollBackAsked && (answer == nil || answer.Reason == v1alpha1.ReasonRollBackFailed):
		return true // its own try, which nobody has asked for
	default:
		return answer == nil || answer.ObservedGeneration != v.Generation
	}
}

// rollBackCheck is one look at whether a restore can be undone as asked.
type rollBackCheck struct {
	name string
	// since is how far a restore has come for the check to matter.
	since   progress
	objects func(s *State, others []v1alpha1.VolumeRestore) *v1alpha1.Problem
}

type progress int

const (
	begun progress = iota
	// stopped: the application was told to stop.
	stopped
	// complete: the restore is complete.
	complete
)

// rollBackChecks refuse what would not be an undoing, in this order; the first
// that objects wins:
//
//	once begun     an application was touched
//	once stopped   the previous volumes are there ─ there were some
//	once complete  the claims can be replaced ─ no held rollout is let go ─
//	               no revision is let go ─
//	               the application runs on what the restore gave it
var rollBackChecks = []rollBackCheck{
	{"an application was touched", begun, checkTouched},
	{"the previous volumes are there", stopped, checkPrevious},
	{"there were previous volumes", stopped, checkHadPrevious},
	{"the claims can be replaced", complete, checkSwapBack},
	{"no held rollout is let go", complete, checkHeldRollout},
	{"no revision that is held back is let go", complete, checkRevisionBack},
	{"the application runs on what the restore gave it", complete, checkSuperseded},
}

// MayRollBack says why a restore can't be undone as asked, nil where it can.
// others are the restores of the namespace.
func MayRollBack(s *State, others []v1alpha1.VolumeRestore) *v1alpha1.Problem {
	reached := begun
	if s.Restore.Status.ScaledDownAt != nil {
		reached = stopped
		if Ended(s.Restore) && !s.holds(v1alpha1.ConditionFailed) {
			reached = complete
		}
	}
	for _, check := range rollBackChecks {
		if check.since > reached {
			continue
		}
		if p := check.objects(s, others); p != nil {
			return p
		}
	}
	return nil
}

func checkTouched(s *State, _ []v1alpha1.VolumeRestore) *v1alpha1.Problem {
	if s.Restore.Status.Strategy != v1alpha1.StrategyClaimsOnly {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonNothingToRollBack,
		"this restore only made claims and touched no application: delete the claims where they aren't wanted (kubectl delete pvc -l %s=%s)", v1alpha1.LabelRestoreUID, s.Restore.UID)
}

func checkPrevious(s *State, _ []v1alpha1.VolumeRestore) *v1alpha1.Problem {
	for c := range s.claims() {
		if c.PreviousVolume == "" {
			continue
		}
		if fate, mend := s.previousLost(c); fate != "" {
			return v1alpha1.Problemf(v1alpha1.ReasonPreviousGone,
				"the previous volume %s of claim %s %s, so this restore can't be undone: %s", c.PreviousVolume, c.PreviousClaim, fate, mend)
		}
		if p := s.checkGoing(c); p != nil {
			return p
		}
	}
	return nil
}

// checkGoing refuses to go back to a volume whose claim is being deleted, and
// can be made anew only once whoever holds it lets it go.
func (s *State) checkGoing(c *v1alpha1.RestoredClaim) *v1alpha1.Problem {
	claim := s.Claims[c.PreviousClaim]
	if s.Restore.Status.Strategy != v1alpha1.StrategyRepoint || !isGoing(claim) {
		return nil
	}
	if p := checkReplaceable(claim.Name, claim, s.Others); p != nil {
		return v1alpha1.Problemf(v1alpha1.ReasonPreviousGone,
			"the claim %s of the previous volume %s is being deleted%s. Once it is gone ask again (spec.rollBack: false, then true): it is made anew then. Nothing was touched", claim.Name, c.PreviousVolume, s.heldBy(claim))
	}
	return nil
}

// previousLost says what has become of a previous volume, and what a person can do,
// empty where the application can have it back: a claim that is gone is made anew.
func (s *State) previousLost(c *v1alpha1.RestoredClaim) (fate, mend string) {
	v := s.previousVolume(c)
	mend = "restore from a backup of before"
	switch {
	case s.isMadeAnew(c.PreviousVolume, c.PreviousVolumeUID):
		return fmt.Sprintf("was made anew by somebody: the one that was there had the UID %s", c.PreviousVolumeUID), mend
	case v == nil:
		return "is gone", mend
	case !v.DeletionTimestamp.IsZero():
		return "is being deleted", mend
	}
	if other := s.claimedBy(c, v); other != "" {
		return "belongs to claim " + other + " now", mend
	}
	if !s.isOfAnother(v) {
		mend = "where it is this restore's all the same, " + s.markCommand(v) + ", and ask again (spec.rollBack: false, then true)"
	}
	return s.foreign(v), mend
}

func checkHadPrevious(s *State, _ []v1alpha1.VolumeRestore) *v1alpha1.Problem {
	if HadPrevious(s.Restore) {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonNothingToRollBack, "the application had no volumes before this restore: there is nothing to go back to")
}

// PreviousLost says which previous volumes can't be brought back any more, and
// why; empty where all can.
func PreviousLost(s *State) string {
	var lost []string
	for c := range s.claims() {
		if fate, _ := s.previousLost(c); c.PreviousVolume != "" && fate != "" {
			lost = append(lost, fmt.Sprintf("PersistentVolume %s of claim %s %s", c.PreviousVolume, c.PreviousClaim, fate))
		}
	}
	return strings.Join(lost, ", ")
}

// LeadsElsewhere are the claims of the application that don't lead to their previous
// volumes, empty where all do.
func LeadsElsewhere(s *State) string {
	var all []string
	for c := range s.claims() {
		if !strategyOf(s.Restore).isOnPrevious(s, c) {
			all = append(all, fmt.Sprintf("claim %s of PersistentVolume %s", c.PreviousClaim, c.PreviousVolume))
		}
	}
	return strings.Join(all, ", ")
}

// HadPrevious is true where the application had a volume before the restore.
func HadPrevious(v *v1alpha1.VolumeRestore) bool {
	for _, c := range v.Status.Claims {
		if c.PreviousVolume != "" {
			return true
		}
	}
	return false
}

func checkSwapBack(s *State, _ []v1alpha1.VolumeRestore) *v1alpha1.Problem {
	return strategyOf(s.Restore).checkSwap(s)
}

func checkHeldRollout(s *State, _ []v1alpha1.VolumeRestore) *v1alpha1.Problem {
	w := s.Workload
	if w == nil || !w.HasHeldRollout || s.Restore.Status.Strategy != v1alpha1.StrategyRepoint {
		return nil
	}
	return v1alpha1.Problemf(v1alpha1.ReasonRolloutPaused,
		"the rollout of Deployment %s is paused and holds changes back, which a template that is pointed back would let go: resume it first (kubectl rollout resume deployment/%s), or take the changes back, and ask again (spec.rollBack: false, then true). Nothing was touched", w.Ref.Name, w.Ref.Name)
}

// checkRevisionBack speaks of a rollout since the restore.
func checkRevisionBack(s *State, _ []v1alpha1.VolumeRestore) *v1alpha1.Problem {
	p := advised(checkRevision(s.Workload, s.Pods, s.Restore.Status.Strategy), "Then ask again (spec.rollBack: false, then true). Nothing was touched")
	if p != nil {
		p.Passing = false
	}
	return p
}

// checkSuperseded allows an application that runs on what this restore gave it,
// or a later one that stands: then that is undone along with this one.
func checkSuperseded(s *State, others []v1alpha1.VolumeRestore) *v1alpha1.Problem {
	for c := range s.claims() {
		isMounted := s.Workload == nil || c.TemporaryClaim == "" || s.Workload.MayMount(c.RestoredClaim)
		if isMounted && strategyOf(s.Restore).isOnRestored(s, c) {
			continue
		}
		if now := s.currentTarget(c); !isGivenByLater(s.Restore, others, now) {
			return v1alpha1.Problemf(v1alpha1.ReasonSuperseded,
				"the application no longer runs on %s, which this restore gave it, but on %s: undo or restore what put it there instead, or set it back and ask again (spec.rollBack: false, then true). Nothing was touched",
				targetOfClaim(s.Restore, c), cmp.Or(now, "nothing"))
		}
	}
	return nil
}

// currentTarget is what the application mounts in the place of a claim: by
// Repoint the claim, by Replace the volume.
func (s *State) currentTarget(c *v1alpha1.RestoredClaim) string {
	if s.Restore.Status.Strategy == v1alpha1.StrategyRepoint {
		return s.CurrentClaim(c)
	}
	if s.Workload != nil && !s.Workload.MayMount(c.RestoredClaim) {
		return "another claim"
	}
	return s.boundVolume(c)
}

// targetOfClaim is what a restore gave the application in the place of a claim:
// by Repoint the claim, by Replace the volume.
func targetOfClaim(v *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim) string {
	if v.Status.Strategy == v1alpha1.StrategyRepoint {
		return c.RestoredClaim
	}
	return c.RestoredVolume
}

func isGivenByLater(mine *v1alpha1.VolumeRestore, all []v1alpha1.VolumeRestore, target string) bool {
	for i := range all {
		other := &all[i]
		stands := other.UID != mine.UID && other.Status.RollBack == nil && holds(other, v1alpha1.ConditionComplete)
		if !stands || other.Status.CompletionTime.Before(mine.Status.CompletionTime) {
			continue
		}
		for j := range other.Status.Claims {
			if target != "" && targetOfClaim(other, &other.Status.Claims[j]) == target {
				return true
			}
		}
	}
	return false
}

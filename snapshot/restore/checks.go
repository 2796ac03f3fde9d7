package restore

import (
	"fmt"
	"slices"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// Check is one look at whether a restore can go on.
type Check struct {
	Name string
	// Stops is true for a check that is made only right before the application is
	// stopped.
	Stops bool
	// Objects says what stands in the way, nothing where the restore may go on.
	Objects func(*State) Need
}

// Checks are made before each step of the way forward, in this order; the first
// that objects wins. The way back isn't checked: there is nothing better to do.
//
//	before each step                   the application is there
//	                                   the snapshots are those that were resolved
//	                                   the new claims are there
//	                                   the template mounts the claims
//	before the application is stopped  it can be stopped and started
//	                                   the claims are as they were resolved
//	                                   there is a way back
//	                                   the claims can be replaced
//	                                   no revision is let go
//	                                   nothing ahead is refused      (by a dry run)
//	                                   no backup has it quieted
//	                                     │
//	                                     v
//	                                   the step
var Checks = []Check{
	{Name: "the application is there", Objects: checkApplication},
	{Name: "the snapshots are those that were resolved", Objects: checkSources},
	{Name: "the new claims are there", Objects: checkNewClaims},
	{Name: "the template mounts the claims", Objects: checkTemplate},
	{Name: "the application can be stopped and started", Stops: true, Objects: checkStoppable},
	{Name: "the claims are as they were resolved", Stops: true, Objects: checkPreviousClaims},
	{Name: "there is a way back", Stops: true, Objects: checkWayBack},
	{Name: "the claims can be replaced", Stops: true, Objects: checkSwap},
	{Name: "no revision that is held back is let go", Stops: true, Objects: checkStartsAsItRan},
	{Name: "nothing ahead is refused", Stops: true, Objects: checkRefused},
	{Name: "no backup has it quieted", Stops: true, Objects: checkQuieted},
}

// Objection is what the first check that objects says of the next step, nothing
// where none does.
func Objection(s *State, next Step) Need {
	if WayOf(s.Restore).IsBack {
		return Need{}
	}
	for _, check := range Checks {
		if check.Stops && !Stops(s, next) {
			continue
		}
		if need := check.Objects(s); !need.IsNothing() {
			return need
		}
	}
	return Need{}
}

// Stops is true for the step that stops the application first.
func Stops(s *State, next Step) bool {
	return next.Name == StepScaleDown && s.Restore.Status.ScaledDownAt == nil
}

// ChangesAhead are those that the restore, and its undoing, will make once the
// application is stopped, under the names that they will have. A policy that refused
// one of them then would leave the application down. What the application may need
// only after somebody has meddled, such as a claim that is gone by then, isn't among
// them.
func ChangesAhead(s *State) []Change {
	if s.Workload == nil {
		return nil
	}
	asItIs := func(workload.Object) {}
	return append(s.scalingAhead(asItIs, cannotScale), strategyOf(s.Restore).changesAhead(s)...)
}

// scalingAhead is the application without replicas, and with those that it has, on
// a template: it will be both, whichever way the restore goes.
func (s *State) scalingAhead(template func(workload.Object), cannot func(replicas int32) string) []Change {
	var ahead []Change
	for _, n := range slices.Compact([]int32{0, s.Workload.Replicas}) {
		ahead = append(ahead, asItWillBe(s.Workload.Object, cannot(n), func(obj workload.Object) {
			template(obj)
			setReplicas(obj, n)
		}))
	}
	return ahead
}

func checkApplication(s *State) Need {
	v := s.Restore
	if v.Status.ApplicationUID == "" || !s.isGone() {
		return Need{}
	}
	return stuck(v1alpha1.ReasonApplicationNotFound, "%s was deleted while it was restored", applicationName(v.Status.Application))
}

// checkNewClaims refuses to go on where a new claim or volume went away after
// it was mounted and before the application was led to it. A temporary claim may
// go once its volume is retained.
func checkNewClaims(s *State) Need {
	if !s.holds(v1alpha1.ConditionClaimsReady) || s.holds(v1alpha1.ConditionSwapped) {
		return Need{}
	}
	for c := range s.claims() {
		if lost := s.lostClaim(c); lost != "" {
			return stuck(v1alpha1.ReasonClaimNotFound, "%s", lost)
		}
	}
	return Need{}
}

func (s *State) lostClaim(c *v1alpha1.RestoredClaim) string {
	v, claim := s.restoredVolume(c), s.Claims[NewClaimName(c)]
	if v == nil || !v.DeletionTimestamp.IsZero() {
		return fmt.Sprintf("PersistentVolume %s, which was made for %s, was deleted by somebody: nothing of it is needed, restore again", c.RestoredVolume, NewClaimName(c))
	}
	if why := s.foreign(v); why != "" {
		return fmt.Sprintf("PersistentVolume %s, which was made for %s, %s: restore again", c.RestoredVolume, NewClaimName(c), why)
	}
	isThere := claim != nil && claim.DeletionTimestamp.IsZero() && claim.Spec.VolumeName == c.RestoredVolume
	if isNeeded := c.TemporaryClaim == "" || !isRetained(v); isNeeded && !isThere {
		return fmt.Sprintf("the new PersistentVolumeClaim %s was deleted by somebody: restore again", NewClaimName(c))
	}
	return ""
}

// checkTemplate refuses to go on where the owner has changed a volume of the
// pod template since it was resolved, so that pointing it at a new claim would
// restore nothing. Once the application is stopped the template may lead to the
// new claims already.
func checkTemplate(s *State) Need {
	v := s.Restore
	if v.Status.Strategy != v1alpha1.StrategyRepoint || s.holds(v1alpha1.ConditionSwapped) || s.Workload == nil {
		return Need{}
	}
	for c := range s.claims() {
		for _, volume := range c.TemplateVolumes {
			at := s.Workload.ClaimAt(volume)
			if at != c.PreviousClaim && (at != c.RestoredClaim || v.Status.ScaledDownAt == nil) {
				return stuck(v1alpha1.ReasonClaimNotMounted, "the pod template of %s was changed meanwhile: its volume %s doesn't mount claim %s any more. Restore again",
					applicationName(v.Status.Application), volume, c.PreviousClaim)
			}
		}
	}
	return Need{}
}

// checkPreviousClaims refuses to go on where a claim has got another volume
// since it was resolved: the way back wouldn't lead there.
func checkPreviousClaims(s *State) Need {
	for c := range s.claims() {
		if bound := heldVolume(s.Claims[c.PreviousClaim]); bound != "" && bound != c.PreviousVolume {
			return stuck(v1alpha1.ReasonClaimExists, "PersistentVolumeClaim %s was made anew by somebody and is bound to %s: restore again", c.PreviousClaim, bound)
		}
	}
	return Need{}
}

// checkWayBack refuses to stop an application whose previous volume couldn't be
// brought back, unless its owner doesn't want to keep it. The object of a volume
// that is being deleted goes with its claim.
func checkWayBack(s *State) Need {
	if lost := PreviousLost(s); lost != "" && s.Restore.Spec.PreviousClaims != v1alpha1.PreviousDelete {
		return stuck(v1alpha1.ReasonPreviousGone, "there would be no way back: %s. Restore by previousClaims: Delete if it isn't needed", lost)
	}
	return Need{}
}

// checkSwap is the last look at claims that are to be replaced. What may pass,
// such as another tool's snapshot of a claim, is waited for as long as claims
// are.
func checkSwap(s *State) Need { return s.unlessPassing(strategyOf(s.Restore).checkSwap(s)) }

func checkStartsAsItRan(s *State) Need {
	return s.unlessPassing(advised(checkRevision(s.Workload, s.Pods, s.Restore.Status.Strategy), "Then restore again"))
}

// unlessPassing is a problem, or the wait for one that may pass.
func (s *State) unlessPassing(p *v1alpha1.Problem) Need {
	if p == nil || !p.Passing {
		return Need{Problem: p}
	}
	return Need{Wait: &Wait{Before: p.Message, After: "; the application runs", Reason: p.Reason, Until: s.runningUntil(), Late: *p}}
}

func checkRefused(s *State) Need { return Need{Problem: s.Refused} }

// checkQuieted keeps a restore from stopping an application that is quieted for
// a backup, which may have begun while the claims were prepared.
func checkQuieted(s *State) Need {
	if s.QuietedBy == "" {
		return Need{}
	}
	return Need{Wait: &Wait{Before: WaitsForBackup(s.QuietedBy), Reason: v1alpha1.ReasonBackupUnderWay}}
}

// WaitsForBackup says that a backup has the application quieted.
func WaitsForBackup(name string) string {
	return fmt.Sprintf("waits until VolumeBackup %s has let the application go", name)
}

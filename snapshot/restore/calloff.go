package restore

import "github.com/lull-dev/lull/api/v1alpha1"

// A restore whose undoing can't go on is better off on the volumes that the
// application ran on before than stopped, as long as it still has all of them:
//
//	asked for, and complete   what was asked before anything was stopped is asked
//	                          until a claim is touched: another's pod may have
//	                          come to use one
//	any                       a step could not be taken, since a policy refuses it
//	                          or a previous volume is gone
//
// Once a claim is touched there is no way but on.

// CallOff says why the undoing of a restore is called off, nil where it goes on.
func CallOff(s *State) *v1alpha1.Problem {
	rb := s.Restore.Status.RollBack
	switch {
	case !s.every(s.isUntouched):
		return nil
	case rb.CalledOff != nil:
		return &v1alpha1.Problem{Reason: rb.CalledOff.Reason, Message: rb.CalledOff.Message}
	case rb.Reason != v1alpha1.ReasonRollBackAsked || !s.holds(v1alpha1.ConditionComplete):
		return nil
	}
	return strategyOf(s.Restore).checkSwap(s)
}

// MayCallOff is true for an undoing that goes on so far, and that the application
// is better off without where a step of it can't be taken.
func MayCallOff(s *State) bool {
	rb := s.Restore.Status.RollBack
	return rb != nil && rb.CalledOff == nil && s.Restore.Status.ScaledDownAt != nil && s.Workload != nil && HadPrevious(s.Restore) && s.every(s.isUntouched)
}

// releaseCurrent lets the volumes that the application keeps be as any other again,
// which were retained to be taken from it.
func (s *State) releaseCurrent() Need {
	return Need{Changes: s.changes(func(c *v1alpha1.RestoredClaim) []Change {
		bound, policy := s.boundVolume(c), c.CurrentPolicy
		if bound == c.RestoredVolume {
			policy = c.RestoredPolicy
		}
		changes := s.released(s.Volumes[bound], policy)
		if claim := s.Claims[s.CurrentClaim(c)]; isPrevious(claim) {
			changes = append(changes, changedClaim(claim, unmarkPrevious)...)
		}
		return changes
	})}
}

// isUntouched is true for a claim by which the application can go on as it did
// before its restore was to be undone.
func (s *State) isUntouched(c *v1alpha1.RestoredClaim) bool {
	claim := s.Claims[s.CurrentClaim(c)]
	bound := heldVolume(claim)
	return bound != "" && bound != c.PreviousVolume && !isGoing(claim)
}

// ChangesBack are those by which a restore that has ended will be undone once the
// application is stopped, as far as they are known before.
func ChangesBack(s *State) []Change {
	back := *s
	back.Restore = s.Restore.DeepCopy()
	back.Restore.Status.RollBack = &v1alpha1.RollBackStatus{}
	return ChangesAhead(&back)
}

// RefusedBack is why a restore isn't undone where a change of that is refused.
func RefusedBack(refused *v1alpha1.Problem) *v1alpha1.Problem {
	return advised(refused, "Once that is allowed ask again (spec.rollBack: false, then true). Nothing was touched")
}

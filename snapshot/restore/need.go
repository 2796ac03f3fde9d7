package restore

import (
	"strings"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Need is what a step still needs. The zero value is nothing: the step is done.
type Need struct {
	// Problem is what only a person can mend. Nothing else counts then.
	Problem *v1alpha1.Problem
	// Changes that are to be made, in any order.
	Changes []Change
	// Wait is what has to come about once they are made, nil for nothing.
	Wait *Wait
}

// IsNothing is true where the step is done.
func (n Need) IsNothing() bool { return n.Problem == nil && len(n.Changes) == 0 && n.Wait == nil }

// DependsOnPods is true for a need that has to be worked out by the pods as they
// are now: who uses a claim is looked at right before it is deleted, and again
// where it doesn't go at once. A pod may have got its node in between.
func (n Need) DependsOnPods(s *State) bool {
	isTold := n.Wait != nil && !s.Now.Before(n.Wait.Quiet)
	return deletesClaims(n.Changes) || isTold && !s.every(func(c *v1alpha1.RestoredClaim) bool {
		return !isGoing(s.Claims[c.PreviousClaim]) && !isGoing(s.Claims[c.RestoredClaim])
	})
}

// Wait is what a step waits for.
type Wait struct {
	// Before, For and After are the sentence that a person reads.
	Before string
	For    []string
	After  string
	// Reason of the condition Reconciling while it is waited. Default: the name
	// of the step.
	Reason string
	// Condition that is false meanwhile, and ConditionReason why. Empty for none.
	Condition, ConditionReason string
	// Until is when it is given up. The zero time is never.
	Until time.Time
	// Late is what it comes to then. Where LateSays is true the sentence stands
	// after its message.
	Late     v1alpha1.Problem
	LateSays bool
	// KeepsOn is true where it is waited for all the same then, since nothing
	// better can be done: a person is told, and what they do is seen.
	KeepsOn bool
	// GoesOn is true where the step counts as done then; Note is told in the
	// message of the rollback.
	GoesOn bool
	Note   string
	// Every is how often it is looked beside what the watches tell. Default: what
	// is usual.
	Every time.Duration
	// Quiet is until when it isn't told that it is waited: moments are no
	// matter.
	Quiet time.Time
}

// Message is the sentence for people.
func (w *Wait) Message() string { return w.Before + strings.Join(w.For, ", ") + w.After }

// IsLate is true where it was waited for long enough.
func (w *Wait) IsLate(now time.Time) bool { return !w.Until.IsZero() && !now.Before(w.Until) }

// Problem is what giving up comes to.
func (w *Wait) Problem() *v1alpha1.Problem {
	p := w.Late
	if w.LateSays {
		p.Message += w.Message()
	}
	return &p
}

// stuck is the need of a step that only a person can help.
func stuck(reason, format string, args ...any) Need {
	return Need{Problem: v1alpha1.Problemf(reason, format, args...)}
}

// claimNeed is what one claim needs of a step: changes, and what has to be
// waited for, in a word for people.
type claimNeed struct {
	changes []Change
	waits   string
	problem *v1alpha1.Problem
}

// gather joins what each claim needs. A problem of one stands for all.
func (s *State) gather(of func(*v1alpha1.RestoredClaim) claimNeed) (changes []Change, waits []string, problem *v1alpha1.Problem) {
	for c := range s.claims() {
		need := of(c)
		if need.problem != nil {
			return nil, nil, need.problem
		}
		changes = append(changes, need.changes...)
		if need.waits != "" {
			waits = append(waits, need.waits)
		}
	}
	return changes, waits, nil
}

// changes joins the changes that each claim needs.
func (s *State) changes(of func(*v1alpha1.RestoredClaim) []Change) []Change {
	var all []Change
	for c := range s.claims() {
		all = append(all, of(c)...)
	}
	return all
}

package v1alpha1

import "fmt"

// Problem is an error that a person reads in a condition: it names the object
// and says what to do. It ends the work, unless it is Passing.
type Problem struct {
	// Reason is the reason of the condition.
	Reason string
	// Message names the object and the mend.
	Message string
	// Passing is true where the problem may end by itself soon: a pod that
	// starts, a claim that binds, an object that is applied a moment later.
	Passing bool
}

// Error is the message.
func (p *Problem) Error() string { return p.Message }

// Problemf is a problem that only a person can end.
func Problemf(reason, format string, args ...any) *Problem {
	return &Problem{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// PassingProblemf is a problem that may end by itself.
func PassingProblemf(reason, format string, args ...any) *Problem {
	return &Problem{Reason: reason, Message: fmt.Sprintf(format, args...), Passing: true}
}

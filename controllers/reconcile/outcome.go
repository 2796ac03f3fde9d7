package reconcile

import (
	"errors"
	"regexp"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Outcome is what one step came to. Its zero value is Skip.
type Outcome struct {
	verb    verb
	after   time.Duration
	err     error
	problem *v1alpha1.Problem
	step    string
	unsaved bool
}

type verb int

const (
	skip verb = iota
	again
	done
	wait
	retry
	stall
)

// Skip says that the step has nothing to do: the next in order is asked.
func Skip() Outcome { return Outcome{} }

// SkipFor is Skip, and says to look again after d at the latest.
func SkipFor(d time.Duration) Outcome { return Outcome{after: d} }

// Continue says that the step has changed what is to be done next: the first
// step is asked again, at once.
func Continue() Outcome { return Outcome{verb: again} }

// Done says that there is nothing more to do until something changes.
func Done() Outcome { return Outcome{verb: done} }

// Wait says to look again after d, or earlier when something changes.
func Wait(d time.Duration) Outcome { return Outcome{verb: wait, after: max(d, time.Millisecond)} }

// Retry says that err, of the API server or the like, stood in the way. The
// step is tried again with back-off.
func Retry(err error) Outcome { return Outcome{verb: retry, err: err} }

// Stall says that only a person can help. What becomes of the object is the
// kind's to say.
func Stall(p *v1alpha1.Problem) Outcome { return Outcome{verb: stall, problem: p} }

// Failed is Stall for an error that is a Problem, Retry for any other, and
// Continue for none.
func Failed(err error) Outcome {
	if p := ProblemOf(err); p != nil {
		return Stall(p)
	}
	if err != nil {
		return Retry(err)
	}
	return Continue()
}

// And is a step that was skipped, of two parts: it is looked at again when the first
// of them says so.
func (o Outcome) And(other Outcome) Outcome {
	o.after = sooner(o.after, other.after)
	return o
}

// Unsaved is the outcome without a write of the status: what would be in it is
// known again at the next look, and written then.
func (o Outcome) Unsaved() Outcome {
	o.unsaved = true
	return o
}

// Skipped is true for a step that had nothing to do.
func (o Outcome) Skipped() bool { return o.verb == skip }

// Err is the error that stood in the way, nil where none did.
func (o Outcome) Err() error { return o.err }

// Problem is what only a person can help, nil where the step came to none.
func (o Outcome) Problem() *v1alpha1.Problem { return o.problem }

// In names the step of a plan that the outcome is of: the log says it in the
// place of the name in the kind's list.
func (o Outcome) In(step string) Outcome {
	o.step = step
	return o
}

// Within is the outcome, but looked at again after d at the latest. A d of 0
// changes nothing.
func (o Outcome) Within(d time.Duration) Outcome {
	if d > 0 && (o.verb == done || o.verb == wait && o.after > d) {
		o.verb, o.after = wait, d
	}
	return o
}

// lackedRight is how the API server says that a right is lacking: a verb and a
// resource.
var lackedRight = regexp.MustCompile(` cannot [a-z]+ resource "`)

// LacksRight is true for an answer of the API server that whoever asks lacks the
// right to. It is no verdict on what was asked for: a server that has just started
// says so of everybody, until it knows the roles.
func LacksRight(err error) bool {
	return apierrors.IsForbidden(err) && lackedRight.MatchString(err.Error())
}

// tooLarge is how the API server says that what is written is larger than it, or its
// etcd, takes: a request (413), an object (etcd's --max-request-bytes), or what its
// client of etcd sends at once.
var tooLarge = regexp.MustCompile(`etcdserver: request is too large|trying to send message larger than max`)

// IsTooLarge is true for an answer of the API server that there is no room for what is
// written. Another try comes to the same.
func IsTooLarge(err error) bool {
	return err != nil && (apierrors.IsRequestEntityTooLargeError(err) || tooLarge.MatchString(err.Error()))
}

// ProblemOf is the Problem that an error is or wraps, nil where it is none.
func ProblemOf(err error) *v1alpha1.Problem {
	var p *v1alpha1.Problem
	if errors.As(err, &p) {
		return p
	}
	return nil
}

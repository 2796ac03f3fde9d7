package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rule is what a history is held to, see the package's comment.
type Rule string

// The rules.
const (
	Retain    Rule = "retain"
	Intent    Rule = "intent"
	Thaw      Rule = "thaw"
	LateCut   Rule = "late-cut"
	Exclusive Rule = "exclusive"
)

// Violation is a rule that was broken, and the events that show it.
type Violation struct {
	Rule    Rule
	Message string
	Events  []*Event
}

// String is a line, and one more for each event.
func (v Violation) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s: %s", v.Rule, v.Message)
	for _, e := range v.Events {
		fmt.Fprintf(&text, "\n    %s", e)
	}
	return text.String()
}

// slack is what a loaded machine adds to a time.
const slack = 4 * time.Second

// Judge holds a history to all rules.
func Judge(h *History) []Violation {
	j := newJudge(h)
	j.read()
	j.judgeExecs()
	j.judgeThaws()
	j.judgeCuts()
	j.judgeUses()
	j.judgeExclusive()
	return j.broken
}

// judge is the model: what is known of a history.
type judge struct {
	notes []Note
	// all events, as they came.
	all  []*Event
	last time.Time

	attempts map[attemptKey]*attempt
	execs    map[string]*exec // by audit ID
	commands []*exec          // as they came
	// cuts are the first writes that say that a copy is cut, by its content.
	cuts map[string]*Event
	// created are the snapshots and groups that the operator asked for, by
	// namespace and name; used are its claims that are made from snapshots.
	created map[namespaceName]*Event
	used    []use
	// gone are the deletions of pods, by namespace. One without a name is of all.
	gone   map[string][]*Event
	claims claims

	broken []Violation
}

func newJudge(h *History) *judge {
	j := &judge{
		notes: slices.Clone(h.Notes), all: slices.Clone(h.Events),
		attempts: map[attemptKey]*attempt{}, execs: map[string]*exec{}, cuts: map[string]*Event{},
		created: map[namespaceName]*Event{}, gone: map[string][]*Event{}, claims: newClaims(),
	}
	slices.SortStableFunc(j.all, func(a, b *Event) int {
		return cmp.Or(a.Received.Compare(b.Received), a.At.Compare(b.At))
	})
	slices.SortStableFunc(j.notes, func(a, b Note) int { return a.From.Compare(b.From) })
	for _, e := range j.all {
		if e.At.After(j.last) {
			j.last = e.At
		}
	}
	return j
}

func (j *judge) violates(rule Rule, events []*Event, format string, args ...any) {
	events = slices.DeleteFunc(events, func(e *Event) bool { return e == nil })
	j.broken = append(j.broken, Violation{Rule: rule, Message: fmt.Sprintf(format, args...), Events: events})
}

// read takes in all events, in the order in which they came. Of claims and volumes
// only what is at one moment counts: they are judged on the way.
func (j *judge) read() {
	for _, e := range j.all {
		if e.isExec() {
			j.readExec(e)
			continue
		}
		if !e.done() {
			continue
		}
		switch e.Object.Resource {
		case "pods":
			j.gone[e.Object.Namespace] = append(j.gone[e.Object.Namespace], e)
		case "volumebackups":
			j.readBackup(e)
		case "volumesnapshotcontents", "volumegroupsnapshotcontents":
			j.readContent(e)
		case "volumesnapshots", "volumegroupsnapshots":
			if e.Verb == "create" && e.byOperator() {
				j.created[namespaceName{e.Object.Namespace, e.Object.Name}] = e
			}
		case "persistentvolumeclaims":
			j.readUse(e)
			j.readClaim(e)
		case "persistentvolumes":
			j.claims.readVolume(e)
		case "volumerestores":
			j.claims.readRestore(e)
		}
	}
	for _, x := range j.commands {
		if a := j.attempts[x.key]; a != nil {
			a.execs = append(a.execs, x)
		}
	}
}

// afterlife is how long after an outage what the log says may lack what was
// written in it.
const afterlife = time.Minute

// mayLack is true for a moment at which something may be written that isn't in the
// log.
func (j *judge) mayLack(at time.Time) bool {
	return slices.ContainsFunc(j.notes, func(n Note) bool {
		return n.Outage && n.From.Before(at) && at.Before(n.To.Add(afterlife))
	})
}

// excused is until when something may be late that is due at a moment, and that
// could be done from another on.
func (j *judge) excused(namespace string, from, due time.Time) time.Time {
	for _, n := range j.notes {
		isHere := n.Namespace == "" || n.Namespace == namespace
		if isHere && n.To.After(from) && n.From.Before(due.Add(slack)) && n.To.After(due) {
			due = n.To
		}
	}
	return due
}

// outageAfter is when the API server next went after a moment, zero for never.
func (j *judge) outageAfter(at time.Time) time.Time {
	for _, n := range j.notes {
		if n.Outage && n.From.After(at) {
			return n.From
		}
	}
	return time.Time{}
}

// isGone is true for a pod that somebody deleted between two moments.
func (j *judge) isGone(pod namespaceName, from, to time.Time) bool {
	return slices.ContainsFunc(j.gone[pod.Namespace], func(e *Event) bool {
		return (e.Object.Name == "" || e.Object.Name == pod.Name) && e.At.After(from) && e.Received.Before(to)
	})
}

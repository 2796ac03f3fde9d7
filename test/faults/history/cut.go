package history

import (
	"encoding/json"
	"time"
)

// use is a claim that the operator makes from a snapshot.
type use struct {
	event    *Event
	snapshot string
}

// groupKey is what the cut of a group is known by, beside the names of contents.
func groupKey(of namespaceName) string { return "group " + of.Namespace + "/" + of.Name }

// readContent notes the first write that says that a content is cut.
func (j *judge) readContent(e *Event) {
	c, ok := answer[content](e)
	if !ok || !c.isCut() {
		return
	}
	key := c.Metadata.Name
	if c.Spec.Group != nil {
		key = groupKey(*c.Spec.Group)
	}
	if j.cuts[key] == nil {
		j.cuts[key] = e
	}
}

func (j *judge) readUse(e *Event) {
	made := &claim{}
	if e.Verb != "create" || !e.byOperator() || json.Unmarshal(e.RequestObject, made) != nil {
		return
	}
	if from := made.Spec.DataSource; from != nil && from.Kind == "VolumeSnapshot" {
		j.used = append(j.used, use{e, from.Name})
	}
}

// judgeCuts holds verdicts to what was seen: all copies were cut after the freeze
// began and before it ended.
func (j *judge) judgeCuts() {
	for _, a := range j.freezing() {
		if a.consistency != "Proven" && a.consistency != "Declared" {
			continue
		}
		for _, pod := range a.quiesce.Pods {
			freeze := a.freeze(pod)
			if freeze == nil {
				j.violates(LateCut, []*Event{a.intent, a.verdict}, "backup %s is %s, and nothing has frozen pod %s", a.backup, a.consistency, pod.Name)
				continue
			}
			until, _ := j.released(a, pod, freeze)
			for _, c := range a.copies {
				j.judgeCut(a, c, freeze, until)
			}
		}
	}
}

func (j *judge) judgeCut(a *attempt, c copied, freeze *exec, until time.Time) {
	asked, seen := j.created[namespaceName{a.namespace, c.snapshot}], j.cuts[c.content]
	if group := a.quiesce.GroupSnapshotName; group != "" {
		asked, seen = j.created[namespaceName{a.namespace, group}], j.cuts[groupKey(namespaceName{a.namespace, group})]
	}
	if asked != nil && asked.Received.Before(freeze.first.Received) {
		j.violates(LateCut, []*Event{asked, freeze.first, a.verdict}, "backup %s is %s, and snapshot %s was asked for before pod %s was frozen", a.backup, a.consistency, c.snapshot, freeze.pod)
	}
	switch {
	case j.mayLack(a.verdict.Received):
	case seen == nil:
		j.violates(LateCut, []*Event{freeze.first, a.verdict}, "backup %s is %s, and snapshot %s was never cut", a.backup, a.consistency, c.snapshot)
	case !until.IsZero() && seen.Received.After(until):
		j.violates(LateCut, []*Event{freeze.first, seen, a.verdict}, "backup %s is %s, and snapshot %s was cut after pod %s was released at %s", a.backup, a.consistency, c.snapshot, freeze.pod, clock(until))
	}
}

// judgeUses holds claims that are made from snapshots to verdicts: what a failed
// attempt left is of no use.
func (j *judge) judgeUses() {
	for _, u := range j.used {
		if !j.isWorth(u) && !j.mayLack(u.event.Received) {
			j.violates(LateCut, []*Event{u.event}, "claim %s is made from snapshot %s, of which no backup has a verdict", u.event.Object.Name, u.snapshot)
		}
	}
}

func (j *judge) isWorth(u use) bool {
	for _, a := range j.attempts {
		if a.verdict == nil || a.namespace != u.event.Object.Namespace || a.verdict.Received.After(u.event.Received) {
			continue
		}
		for _, c := range a.copies {
			if c.snapshot == u.snapshot {
				return true
			}
		}
	}
	return false
}

package history

import (
	"cmp"
	"slices"
	"time"
)

// judgeThaws holds each pod that was frozen to its release: by the deadline of the
// intent, and before the status says so.
func (j *judge) judgeThaws() {
	for _, a := range j.freezing() {
		for _, pod := range a.quiesce.Pods {
			if freeze := a.freeze(pod); freeze != nil {
				j.judgeThaw(a, pod, freeze)
			}
		}
	}
}

func (j *judge) judgeThaw(a *attempt, pod quiescedPod, freeze *exec) {
	if !freeze.hasInput && len(pod.Post) == 0 {
		return // there is nothing that would thaw it
	}
	at, by := j.released(a, pod, freeze)
	events := []*Event{a.intent, freeze.first, a.closed}
	if by != nil {
		events = append(events, by.first)
	}
	if a.isThawed && at.IsZero() && !j.isGone(namespaceName{a.namespace, pod.Name}, freeze.first.Received, a.closed.At) ||
		a.isThawed && at.After(a.closed.At.Add(slack)) {
		j.violates(Thaw, events, "attempt %d of backup %s says that it is thawed, and pod %s is not released", a.key.number, a.backup, pod.Name)
		return
	}
	if a.quiesce.Deadline == nil {
		j.violates(Thaw, events, "attempt %d of backup %s froze pod %s without a deadline", a.key.number, a.backup, pod.Name)
		return
	}
	if watchman := a.watchman(pod); watchman != nil {
		// He thaws by himself then, whatever becomes of managers.
		if acts := watchman.first.At.Add(watchman.waits); acts.After(a.due().Add(slack)) {
			j.violates(Thaw, events, "attempt %d of backup %s has a watchman in pod %s who acts at %s by himself, and was to be over by %s", a.key.number, a.backup, pod.Name, clock(acts), clock(a.due()))
		}
		if ended := j.endOf(a, pod, watchman); ended != nil {
			j.judgeRelief(a, pod, ended)
		}
		return
	}
	due := a.due()
	if freeze.first.Received.After(due) {
		due = freeze.first.Received // it was halted before its command
	}
	due = j.excused(a.namespace, freeze.first.Received, due).Add(slack)
	late := at.After(due) || at.IsZero() && j.last.After(due)
	if late && !j.isGone(namespaceName{a.namespace, pod.Name}, freeze.first.Received, due) {
		j.violates(Thaw, events, "attempt %d of backup %s released pod %s %s, and was to do so by %s", a.key.number, a.backup, pod.Name, clock(at), clock(a.due()))
	}
}

// due is the deadline of the attempt by the API server's clock: what the manager's
// own shows doesn't matter.
func (a *attempt) due() time.Time {
	return a.intent.Received.Add(a.quiesce.Deadline.Sub(a.quiesce.StartedAt))
}

// released is as attempt.release has it. A session that was open when the API
// server went has ended with it. A watchman that somebody ended has released nothing.
func (j *judge) released(a *attempt, pod quiescedPod, freeze *exec) (time.Time, *exec) {
	at, by := a.release(pod, freeze)
	if by != nil && by.waits > 0 && j.endOf(a, pod, by) != nil {
		return time.Time{}, nil
	}
	if at.IsZero() && (freeze.hasInput || by != nil) {
		at = j.outageAfter(freeze.first.Received)
	}
	return at, by
}

// freezing are the attempts that freeze pods, by their intents.
func (j *judge) freezing() (all []*attempt) {
	for _, a := range j.attempts {
		if a.quiesce.freezes() {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b *attempt) int {
		return cmp.Or(a.intent.Received.Compare(b.intent.Received), cmp.Compare(a.key.backup, b.key.backup))
	})
	return all
}

func clock(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.UTC().Format("15:04:05.000")
}

// judgeExclusive holds each pod to one open attempt at a time.
func (j *judge) judgeExclusive() {
	open := map[string]*attempt{} // the newest of each pod, by its UID
	for _, b := range j.freezing() {
		for _, pod := range b.quiesce.Pods {
			a := open[pod.UID]
			open[pod.UID] = b
			if a == nil || a == b || j.mayLack(b.intent.Received) {
				continue
			}
			if closed := a.closedFor(pod); closed == nil || closed.Received.After(b.intent.Received) {
				j.violates(Exclusive, []*Event{a.intent, b.intent, closed}, "pod %s is in attempt %d of backup %s, which is open, and in attempt %d of backup %s",
					pod.Name, a.key.number, a.backup, b.key.number, b.backup)
			}
		}
	}
}

package history

import (
	"fmt"
	"slices"
)

// endOf is the first command that ends the watchman of a pod before he acts by
// himself and before the attempt was called thawed, nil where none does: who comes later
// looks for the watchmen of all attempts, and he isn't there any more. One that he was told by in time isn't in the log: he
// has run the post-hook then, and is ended with it where that hangs.
func (j *judge) endOf(a *attempt, pod quiescedPod, watchman *exec) *exec {
	acts := watchman.first.At.Add(watchman.waits)
	own, all := fmt.Sprintf("watch.%s.%d", a.key.backup, a.key.number), "watchman-of."+pod.UID
	for _, x := range j.commands {
		isHere := x.first.Object.Namespace == a.namespace && x.pod == pod.Name && x.container == watchman.container
		isTimely := x.first.Received.After(watchman.first.Received) && x.first.Received.Before(acts) &&
			(a.closed == nil || x.first.Received.Before(a.closed.Received))
		if isHere && isTimely && x.began && (slices.Contains(x.ends, own) || slices.Contains(x.ends, all)) {
			return x
		}
	}
	return nil
}

// judgeRelief holds whoever has ended a watchman to what that one would have done: to
// run the post-hook by the deadline, or to have another watchman do so. He is told
// at once, which isn't in the log, and is ended by the next where the post-hook hangs.
func (j *judge) judgeRelief(a *attempt, pod quiescedPod, ended *exec) {
	from, due := ended.first.Received, a.due()
	if from.After(due) {
		due = from // the watchman has whole seconds
	}
	due = j.excused(a.namespace, from, due).Add(slack)
	for _, x := range a.in(pod.Name) {
		isTimely := !x.first.Received.Before(from) && !x.first.Received.After(due)
		if isTimely && (x.is(pod.Post) && x.isRun || x.isHeir && x.began) {
			return
		}
	}
	if j.last.After(due) && !j.isGone(namespaceName{a.namespace, pod.Name}, from, due) {
		j.violates(Thaw, []*Event{a.intent, ended.first, a.closed}, "attempt %d of backup %s had its watchman in pod %s ended at %s, and nobody ran the post-hook by %s", a.key.number, a.backup, pod.Name, clock(from), clock(a.due()))
	}
}

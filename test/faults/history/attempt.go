package history

import (
	"cmp"
	"time"
)

// attemptKey is what the mark in a command line tells.
type attemptKey struct {
	backup string // its UID
	number int
}

// attempt is one that freezes, by what the status of its backup says of it.
type attempt struct {
	key       attemptKey
	namespace string
	backup    string
	quiesce   quiesce
	// intent is the write that it stands in first.
	intent *Event
	// closed is the write by which it has ended, nil while it is open. A backup
	// that has failed as a whole asks its owner to thaw.
	closed *Event
	// thawed are the first writes that say that a pod is released, by its UID.
	thawed map[string]*Event
	// isThawed: that write says that all pods are released.
	isThawed bool
	// verdict is the write that says what its copies are worth, nil for none.
	verdict     *Event
	consistency string
	copies      []copied
	// execs are its commands, as they came.
	execs []*exec
}

// copied is a snapshot of a verdict. content is empty where the status doesn't
// name it.
type copied struct{ snapshot, content string }

// readBackup takes in what a write says of a backup's newest attempt.
func (j *judge) readBackup(e *Event) {
	b, ok := answer[backup](e)
	if !ok || e.Verb == "delete" {
		return
	}
	if b.Metadata.isGone() {
		for _, a := range j.attempts {
			if a.key.backup == b.Metadata.UID && a.closed == nil {
				a.closed = e
			}
		}
	}
	q := b.Status.Quiesce
	if q == nil {
		return
	}
	key := attemptKey{b.Metadata.UID, q.Attempt}
	a := j.attempts[key]
	if a == nil {
		a = &attempt{key: key, namespace: e.Object.Namespace, backup: b.Metadata.Name, quiesce: *q, intent: e, thawed: map[string]*Event{}}
		j.attempts[key] = a
	}
	if a.closed == nil && (q.ThawedAt != nil || q.ThawGivenUpAt != nil || b.hasEnded()) {
		a.closed, a.isThawed = e, q.ThawedAt != nil
	}
	for _, pod := range q.Pods {
		if pod.Thawed && a.thawed[pod.UID] == nil {
			a.thawed[pod.UID] = e
		}
	}
	if a.verdict == nil && b.Status.Consistency != "" {
		a.verdict, a.consistency = e, b.Status.Consistency
	}
	if a.verdict != nil {
		a.quiesce.GroupSnapshotName = q.GroupSnapshotName
		a.copies = nil
		for _, v := range b.Status.Volumes {
			a.copies = append(a.copies, copied{v.SnapshotName, v.ContentName})
		}
	}
}

// closedFor is the write by which the attempt has ended for a pod, nil for none.
func (a *attempt) closedFor(pod quiescedPod) *Event {
	if thawed := a.thawed[pod.UID]; thawed != nil {
		return thawed
	}
	return a.closed
}

// in are the attempt's commands in a pod.
func (a *attempt) in(pod string) (all []*exec) {
	for _, x := range a.execs {
		if x.pod == pod {
			all = append(all, x)
		}
	}
	return all
}

// freeze is the command that froze a pod of the attempt, nil where none has begun.
func (a *attempt) freeze(pod quiescedPod) *exec {
	for _, x := range a.in(pod.Name) {
		if x.isRun && x.began && !x.is(pod.Post) {
			return x
		}
	}
	return nil
}

// watchman is the session that watches over a pair of hooks in a pod, nil for none.
// Where the hooks are in two containers it is the first of two.
func (a *attempt) watchman(pod quiescedPod) *exec {
	for _, x := range a.in(pod.Name) {
		if x.waits > 0 && x.began && !x.isHeir {
			return x
		}
	}
	return nil
}

// heir is the last who took the place of the watchmen before him in a pod, nil for none.
func (a *attempt) heir(pod quiescedPod) *exec {
	var last *exec
	for _, x := range a.in(pod.Name) {
		if x.isHeir && x.began && (last == nil || x.first.Received.After(last.first.Received)) {
			last = x
		}
	}
	return last
}

// release is when a pod that a command froze was let go, zero for never, and the
// command that did so where it was another one: a hold lets go as its session ends;
// after a pre-hook, the post-hook does, or the watchman, who ends then. That it was
// tried is what counts: what comes of it is not the operator's.
func (a *attempt) release(pod quiescedPod, freeze *exec) (time.Time, *exec) {
	if freeze.hasInput {
		return freeze.end, nil
	}
	for _, x := range a.in(pod.Name) {
		if x != freeze && x.isRun && x.first.Received.After(freeze.first.Received) {
			return x.first.Received, x
		}
	}
	if watchman := cmp.Or(a.heir(pod), a.watchman(pod)); watchman != nil {
		return watchman.end, watchman
	}
	return time.Time{}, nil
}

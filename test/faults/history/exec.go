package history

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// exec is a command in a pod, from its first event to its last.
type exec struct {
	first     *Event
	pod       string
	container string
	// key is the attempt that it is marked with, the zero value for none.
	key attemptKey
	// words are the command itself, without what carries the mark.
	words []string
	// isRun: it is a command of the application's owner, and not one that looks
	// for such a command to end it.
	isRun bool
	// hasInput: it waits for the end of its input.
	hasInput bool
	// waits is how long a watchman waits, who runs the post-hook of a pair when he
	// is told to, or then by himself; 0 for any other command.
	waits time.Duration
	// isHeir: that watchman has taken the place of those that were there before him.
	isHeir bool
	// ends are the marks of whom it looks for to end them, nil for any other command.
	ends []string
	// began: the stream to it was open.
	began bool
	// end of the stream, zero where nobody saw it.
	end time.Time
}

// The forms of the mark: the word that stands before a command, that of a watchman and
// of one who takes another's place, that of all of a pod, which stands after it, the argument of the script that ends what is left of one, and the same for watchmen,
// of an attempt or of a pod.
var (
	markWatch    = regexp.MustCompile(`^lull=watch\.([0-9a-f-]{36})\.([0-9]+)\.([a-z0-9]+\.)?$`)
	markOfPod    = regexp.MustCompile(`^lull=(watchman-of\.[0-9a-f-]{36})\.$`)
	markWord     = regexp.MustCompile(`^lull=([0-9a-f-]{36})\.([0-9]+)\.$`)
	markArgument = regexp.MustCompile(`^([0-9a-f-]{36})\.([0-9]+)$`)
	markWatchmen = regexp.MustCompile(`^(watch\.[0-9a-f-]{36}\.[0-9]+|watchman-of\.[0-9a-f-]{36})$`)
)

const switchingProtocols = 101

// readExec takes in an event of a command of the operator's.
func (j *judge) readExec(e *Event) {
	if !e.byOperator() {
		return
	}
	x := j.execs[e.AuditID]
	if x == nil {
		x = newExec(e)
		j.execs[e.AuditID] = x
		j.commands = append(j.commands, x)
	}
	if e.Response.Code == switchingProtocols {
		x.began = true
	}
	if e.Stage == stageComplete {
		x.end = e.At
	}
}

func newExec(e *Event) *exec {
	x := &exec{first: e, pod: e.Object.Name}
	at, err := url.ParseRequestURI(e.RequestURI)
	if err != nil {
		return x
	}
	asked := at.Query()
	x.words, x.container, x.hasInput = asked["command"], asked.Get("container"), asked.Get("stdin") == "true"
	for i, word := range x.words {
		if found := markWord.FindStringSubmatch(word); found != nil {
			x.key, x.isRun, x.words = keyOf(found), true, x.words[i+1:]
			return x
		}
		if found := markWatch.FindStringSubmatch(word); found != nil && len(x.words) > i+2 {
			seconds, _ := strconv.Atoi(x.words[i+2]) // 0 is no watchman's
			x.key, x.waits, x.isHeir = keyOf(found), time.Duration(seconds)*time.Second, found[3] != ""
			if before := markOfPod.FindStringSubmatch(x.words[i+1]); before != nil && x.isHeir {
				x.ends = before[1:]
			}
			return x
		}
	}
	for _, word := range x.words {
		if found := markArgument.FindStringSubmatch(word); found != nil && x.key == (attemptKey{}) {
			x.key = keyOf(found)
		}
		if markWatchmen.MatchString(word) {
			x.ends = append(x.ends, word)
		}
	}
	return x
}

func keyOf(found []string) attemptKey {
	number, _ := strconv.Atoi(found[2]) // the expression lets digits through alone
	return attemptKey{backup: found[1], number: number}
}

func (x *exec) is(words []string) bool { return slices.Equal(x.words, words) }

// judgeExecs holds each command in a pod to an intent that names the pod, and that
// was written before. One without a mark may be of any attempt.
func (j *judge) judgeExecs() {
	for _, x := range j.commands {
		e := x.first
		if x.key == (attemptKey{}) {
			if !j.isIntended(e) && !j.mayLack(e.Received) {
				j.violates(Intent, []*Event{e}, "a command ran in pod %s, which no intent names: %q", x.pod, x.words)
			}
			continue
		}
		a := j.attempts[x.key]
		if a == nil || a.intent.Received.After(e.Received) {
			if !j.mayLack(e.Received) {
				j.violates(Intent, []*Event{e, intentOf(a)}, "attempt %d of backup %s ran a command in pod %s before its intent was written", x.key.number, x.key.backup, x.pod)
			}
			continue
		}
		if !names(a, x.pod) {
			j.violates(Intent, []*Event{a.intent, e}, "attempt %d of backup %s ran a command in pod %s, which its intent doesn't name", x.key.number, a.backup, x.pod)
		}
	}
}

func (j *judge) isIntended(e *Event) bool {
	for _, a := range j.attempts {
		if a.namespace == e.Object.Namespace && names(a, e.Object.Name) && a.intent.Received.Before(e.Received) {
			return true
		}
	}
	return false
}

func names(a *attempt, pod string) bool {
	return slices.ContainsFunc(a.quiesce.Pods, func(p quiescedPod) bool { return p.Name == pod })
}

func intentOf(a *attempt) *Event {
	if a == nil {
		return nil
	}
	return a.intent
}

package hooks

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/lull-dev/lull/snapshot/names"
)

// The ways in which a hold is ended by a check.
const (
	ByRelease = "released"
	ByKill    = "client killed"
	ByLimit   = "left alone"
)

// Checked is what came of a hold that was ended in one way.
type Checked struct {
	// How it was ended: ByRelease, ByKill or ByLimit.
	How string
	// Held is the time from its begin to HELD, Ended that from its release, from the
	// death of its client, or, where it was left alone, from HELD, to its end.
	Held, Ended time.Duration
	// StillHeld is true where it said STILL_HELD.
	StillHeld bool
	// Elsewhere says which files no backup has, empty where none are known. Only one
	// that is released is asked.
	Elsewhere string
	// Left are its processes that lived on, each by its id and command line.
	Left []string
	// Err is what is wrong with it, nil where nothing is.
	Err error
}

// checkAgain is how long it is waited before it is looked whether a hold has ended.
const checkAgain = 100 * time.Millisecond

// CheckHold holds a target three times, cuts nothing, and ends each in another way:
// as a backup does, as the death of a manager does, and not at all, so that its own
// limit has to. The longest time to HELD is wait, and the longest to its own end is
// limit. It tells what came of each as soon as that is known. What holds on is killed.
func CheckHold(ctx context.Context, executor Executor, c clock.PassiveClock, t Target, wait, limit time.Duration, tell func(Checked)) error {
	var errs []error
	for _, how := range []string{ByRelease, ByKill, ByLimit} {
		check := holdCheck{executor: executor, clock: c, target: t, wait: wait, limit: limit}
		check.target.Mark += Mark("." + strings.ReplaceAll(how, " ", "-"))
		checked := check.by(ctx, how)
		tell(checked)
		errs = append(errs, checked.Err)
		if checked.Err != nil && checked.Held == 0 {
			break // what doesn't hold can't be ended
		}
	}
	return errors.Join(errs...)
}

// holdCheck is one hold of a check.
type holdCheck struct {
	executor    Executor
	clock       clock.PassiveClock
	target      Target
	wait, limit time.Duration
	sessions    []string
}

func (h *holdCheck) by(ctx context.Context, how string) (checked Checked) {
	checked.How = how
	life, kill := context.WithCancel(ctx)
	defer kill()
	begun := h.clock.Now()
	beginning, cancel := context.WithTimeoutCause(life, h.wait, fmt.Errorf("it did not hold within %s", h.wait))
	defer cancel()
	session, err := Begin(beginning, life, begun.Add(h.wait+h.limit), h.executor, h.clock, []Target{h.target})
	defer func() { checked.Err = Join(checked.Err, h.cleanUp(ctx)) }()
	if err == nil {
		checked.Held = h.clock.Now().Sub(begun)
		_, err = h.look(ctx) // finds its sessions
	}
	if err != nil {
		session.End(ctx)
		checked.Err = err
		return checked
	}
	since := h.clock.Now()
	switch how {
	case ByRelease:
		r := session.End(ctx)[h.target.UID]
		checked.StillHeld, checked.Err = r.Testified, r.Err
		checked.Elsewhere = session.Elsewhere()
	case ByKill:
		kill()
		checked.Err = h.awaitEnd(ctx)
		session.End(ctx)
	case ByLimit:
		checked.StillHeld, checked.Err = h.awaitLimit(ctx, session)
	}
	checked.Ended = h.clock.Now().Sub(since)
	var doubt error
	if checked.Left, doubt = h.look(ctx); doubt == nil && len(checked.Left) > 0 {
		doubt = errors.New("it has left processes behind: end them with the hold")
	}
	checked.Err = Join(checked.Err, doubt)
	return checked
}

// awaitEnd waits for the end of a hold whose client has died, and so of its input.
func (h *holdCheck) awaitEnd(ctx context.Context) error {
	late := time.After(maxGrace)
	for {
		left, err := h.look(ctx)
		if err != nil || len(left) == 0 {
			return err
		}
		select {
		case <-late:
			return fmt.Errorf("it holds on, or what it began, %s after its client has died: have it end with its standard input", maxGrace)
		case <-time.After(checkAgain):
		}
	}
}

// awaitLimit waits until a hold ends that nobody ends.
func (h *holdCheck) awaitLimit(ctx context.Context, session *Session) (stillHeld bool, err error) {
	limited, cancel := context.WithTimeout(ctx, h.limit)
	defer cancel()
	select {
	case <-session.Lost():
	case <-limited.Done():
		err = fmt.Errorf("it has no limit of its own, or one of more than %s: should a node vanish, it would hold on (timeout 35 cat >/dev/null)", h.limit)
	}
	early := session.pods[0].held.words.saidEarly()
	session.End(ctx)
	if early {
		err = errors.New("it says STILL_HELD though its input has not ended: have it say so after that alone")
	}
	return early, err
}

//go:embed left.sh
var leftScript string

// look finds what of the hold runs, and its sessions.
func (h *holdCheck) look(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	container := Container{Namespace: h.target.Namespace, Pod: h.target.Pod, Name: h.target.Hold.Container}
	command := append([]string{"/bin/sh", "-c", compact(leftScript), "lull-look", string(h.target.Mark)}, h.sessions...)
	var out strings.Builder
	if err := h.executor.Exec(ctx, container, command, Streams{Out: &out, Err: io.Discard}); err != nil {
		if lacksShell(err) {
			return nil, ErrNoShell
		}
		return nil, fmt.Errorf("can't look what of it runs: %w", err)
	}
	sessions, processes, _ := strings.Cut(out.String(), "\n")
	h.sessions = strings.Fields(sessions)
	var all []string
	for line := range strings.Lines(processes) {
		all = append(all, names.Clip(strings.TrimSpace(line), 80))
	}
	return all, nil
}

// cleanUp ends what is left of the hold.
func (h *holdCheck) cleanUp(ctx context.Context) error {
	container := Container{Namespace: h.target.Namespace, Pod: h.target.Pod, Name: h.target.Hold.Container}
	left := process{executor: h.executor, container: container, mark: h.target.Mark}
	_, err := left.kill(ctx)
	return err
}

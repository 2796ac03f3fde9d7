package hooks

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/lull-dev/lull/api/v1alpha1"
)

//go:embed watch.sh
var watchScript string

// watch is watchScript as it is sent.
var watch = compact(watchScript)

const (
	// wordThaw tells a watchman to run the post-hook.
	wordThaw = "thaw\n"
	// exitNoSleep is the exit code of a watchman who has nothing to count the time
	// by.
	exitNoSleep = 3
	// asideEarlier is how much earlier than the watchman that runs the post-hook
	// the one acts that ends a pre-hook in another container.
	asideEarlier = time.Second
	// heirAfter is when one acts by itself that has taken the place of an attempt's. It
	// is told before, or ended, however long the kill of what it waits for takes.
	heirAfter = killTimeout + maxGrace
)

var (
	errWatchLost = errors.New("its watchman ended, or has run the post-hook by itself: the freeze may have been over before the cut")
	errNoWatch   = errors.New("its watchman could not be started")
)

// watchman is a session that lasts as long as a pair of hooks keeps an application
// quiet, or a hold whose freeze would outlive it. It says HELD once it watches and, when it is told to thaw,
// STILL_HELD and runs the post-hook. What it isn't told in time it does by itself,
// without that word. The end of its input says nothing to it: it outlives this
// process, and is ended by its mark where another takes the attempt up.
type watchman struct{ *heldSession }

// watchmanOf is the mark of an attempt's watchmen. That of its hooks isn't in it:
// a hook that is killed leaves its watchman alone.
func watchmanOf(mark Mark) Mark { return "watch." + mark }

// watchOver has what a session doesn't thaw by its end watched before anything is
// frozen. It is an error where that can't be, unless nobody can watch there: then the
// thaw depends on this process.
func (p *podSession) watchOver(ctx context.Context, left time.Duration) (err error) {
	if !p.target.isWatched() {
		return nil
	}
	pre, post, mark := p.target.Pre, p.target.Post, watchmanOf(p.target.Mark)
	if !pre.isSet() || pre.Container == post.Container {
		p.watch, err = p.openWatchman(ctx, mark, post.Container, left, post.Args)
		return err
	}
	// Each counts from its own start: who is to act first begins first.
	p.aside, err = p.openWatchman(ctx, mark, pre.Container, left, []string{":"})
	if err == nil {
		p.watch, err = p.openWatchman(ctx, mark, post.Container, left+asideEarlier, post.Args)
	}
	return err
}

// takeOver puts a watchman in the place of an attempt's whose manager is no more, and
// ends what that left in the container of the post-hook. The new one ends the old: no
// moment is without one, should this process die as well. Where none can be there, all
// of it is ended without. The error is a doubt whether all has ended.
func (p *podSession) takeOver(ctx context.Context) error {
	of, in := p.target.Mark, p.target.Post.Container
	left := p.process(in, of)
	// A mark of its own, which an attempt's begins: whoever ends that ends this as well.
	heir := watchmanOf(of) + "." + Mark(rand.String(5))
	patience, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	watch, err := p.openWatchman(patience, heir, in, heirAfter, p.target.Post.Args)
	if watch != nil && err == nil {
		p.watch = watch
		return left.endAll(ctx)
	}
	var begins error
	if watch != nil {
		_, begins = watch.process.endNow(ctx, watch.done)
		watch.cancel()
	}
	return Join(begins, left.endAll(ctx, watchmanOf(of), allWatchmenOf(p.target.UID)))
}

// allWatchmenOf is the mark of all watchmen of a pod, of any attempt.
func allWatchmenOf(pod types.UID) Mark { return "watchman-of." + Mark(pod) }

// openWatchman begins one in a container, which acts by itself after the time
// that is given, in whole seconds, and returns once it watches. It is nil where
// that can't be there.
func (p *podSession) openWatchman(ctx context.Context, mark Mark, container string, after time.Duration, post []string) (*watchman, error) {
	seconds := max(1, int(math.Ceil(after.Seconds())))
	of := p.process(container, mark)
	of.isMarked = true
	command := append([]string{"/bin/sh", "-c", watch, of.mark.word(), allWatchmenOf(p.target.UID).word(),
		strconv.Itoa(seconds), endMarked, string(p.target.Mark)}, post...)
	w := &watchman{newSession(of, command)}
	// Its stream lives until it is released, which is when its post-hook has ended.
	var life context.Context
	life, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() { w.live(life) }()
	switch err := w.await(ctx); {
	case err == nil:
		return w, nil
	case w.lacksMeans():
		return nil, nil
	default:
		what := "pre-hook"
		if p.target.Hold.isSet() {
			what = "hold"
		}
		return w, inPod(p.target, failure(what, Join(errNeverRan, errNoWatch, err), &w.process.stderr))
	}
}

// await returns once it watches.
func (w *watchman) await(ctx context.Context) error {
	select {
	case <-w.words.held:
		return nil
	case <-w.done:
		if closed(w.words.held) {
			return nil // both at once: that it has ended is seen as the loss of the freeze
		}
		return cmp.Or(w.err, errNeverHeld)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lacksMeans is true where it hasn't begun because the container has no shell, or
// nothing to count the time by.
func (w *watchman) lacksMeans() bool {
	return w.ended() && (lacksShell(w.err) || exitedWith(exitNoSleep, w.err))
}

// Unwatched says why a pair of hooks depends on this process, nil where none does.
// It names no pod: most pods are of one template.
func (q *Session) Unwatched() []Warning {
	for _, p := range q.pods {
		if p.target.isWatched() && p.watch == nil {
			return []Warning{{v1alpha1.ReasonNoWatchman, fmt.Sprintf(
				"nobody watches over the hooks in container %s, which has no shell (/bin/sh), or no sleep: if the manager dies while they keep the application frozen, it is thawed when a manager comes back, and not at its deadline. "+
					"Use an image with both, or a hold, which ends with its session", p.target.Post.Container)}}
		}
	}
	return nil
}

// endWatched has the watchman run the post-hook. Where it has acted already, or
// isn't there, the freeze may have been over before the cut: that proves nothing,
// which is the first error, and the post-hook is run once more, whose error is the
// second. Whoever quiets the pod meanwhile, since this process was held up, has no
// watchman from then on, and proves nothing either.
func (p *podSession) endWatched(ctx context.Context, grace time.Duration) (lost, post error) {
	everybody := allWatchmenOf(p.target.UID)
	if p.aside != nil {
		defer p.aside.cancel()
		// No pre-hook begins without it: first, or one could begin after the post-hook.
		lost = p.aside.askToThaw(ctx, grace, everybody)
	}
	if p.watch == nil {
		return lost, p.runPost(ctx)
	}
	defer p.watch.cancel()
	lost = Join(lost, p.watch.askToThaw(ctx, grace, everybody))
	if p.watch.words.testified() {
		return lost, p.watch.awaitThaw(ctx, p.target.Post.Timeout)
	}
	return lost, p.runPost(ctx)
}

// askToThaw tells it to run the post-hook and returns once it does. It is an error
// where it doesn't within the grace: then it is ended, with what it had begun and
// who has the mark of the others. The error has errMayGoOn in it where nobody has
// seen its end.
func (w *watchman) askToThaw(ctx context.Context, grace time.Duration, others Mark) error {
	w.words.releasing()
	go func() {
		// What became of it is seen by its word: a stream that broke takes none.
		_, _ = io.WriteString(w.input, wordThaw)
		w.input.Close()
	}()
	patience, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	select {
	case <-w.words.still:
	case <-w.done:
	case <-patience.Done():
	}
	switch {
	case w.words.testified():
		return nil
	case w.ended() && w.neverRan(ctx) != nil:
		return Join(errWatchLost, w.err)
	}
	_, err := w.process.kill(ctx, others)
	if err == nil || w.ended() && w.sawEnd() {
		return Join(errWatchLost, err)
	}
	return Join(errMayGoOn, errWatchLost, err)
}

// awaitThaw waits for the end of the post-hook that it runs. One that takes longer
// than its limit is killed.
func (w *watchman) awaitThaw(ctx context.Context, limit time.Duration) error {
	patience, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it did not end within %s", limit))
	defer cancel()
	select {
	case <-w.done:
	case <-patience.Done():
		if _, err := w.process.kill(ctx); err != nil {
			return failure("post-hook was still at work and may go on", Join(context.Cause(patience), err), &w.process.stderr)
		}
		return failure("post-hook was still at work and was killed", context.Cause(patience), &w.process.stderr)
	}
	switch {
	case w.err == nil:
		return nil
	case isExit(w.err):
		return failure("post-hook", w.err, &w.process.stderr)
	}
	_, left := w.process.endBroken(ctx)
	return failure("post-hook", Join(w.err, left), &w.process.stderr)
}

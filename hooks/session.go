package hooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/exec"
	"k8s.io/utils/clock"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Release is the end of one pod's quiet.
type Release struct {
	// Thawed is true once the pod is known to go on, or, after a pre-hook that
	// has no post-hook, once nothing is left to be run.
	Thawed bool
	// Testified is true where it was quiet throughout: by a session's own
	// word, or, with hooks, by the success of those commands that there are.
	Testified bool
	// Err is why not, with the command's last words.
	Err error
	// At is when it was released.
	At time.Time
}

// Session is an application whose pods are quiet, or were tried to be. End has
// to be called, whatever Begin returned.
type Session struct {
	clock     clock.PassiveClock
	deadline  time.Time
	pods      []*podSession
	lost      chan struct{}
	firstHeld time.Time
	allHeld   time.Time
}

type podSession struct {
	target Target
	exec   Executor
	held   *heldSession
	// watch is over a pair of hooks, aside where the pre-hook runs in another
	// container, over that; nil where there is none.
	watch, aside *watchman
	// pre is what became of the pre-hook.
	pre    error
	heldAt time.Time
}

// newPodSession is a pod that isn't quiet yet. Its post-hook has a limit: it is
// run when the time of all else may be over.
func newPodSession(t Target, executor Executor) *podSession {
	t.Post.Timeout = cmp.Or(t.Post.Timeout, DefaultPostTimeout)
	return &podSession{target: t, exec: executor, pre: errNeverRan}
}

// Begin quiets all targets at once, once all pairs of hooks are watched over, and
// returns when all are quiet, with the first error where one isn't. ctx bounds the quieting; life bounds the held
// sessions, which live on after Begin. By the deadline all are to be thawed: a
// session that doesn't heed its end is killed in time for it, and a pair of hooks
// has a watchman that thaws it by then whatever becomes of this process.
func Begin(ctx, life context.Context, deadline time.Time, executor Executor, c clock.PassiveClock, targets []Target) (*Session, error) {
	q := &Session{clock: c, deadline: deadline, lost: make(chan struct{})}
	for _, t := range targets {
		q.pods = append(q.pods, newPodSession(t, executor))
	}
	err := q.each(ctx, func(ctx context.Context, p *podSession) error { return p.watchOver(ctx, deadline.Sub(c.Now())) })
	if err == nil {
		err = q.each(ctx, func(ctx context.Context, p *podSession) error { return p.begin(ctx, life, c) })
	}
	q.note()
	if err != nil {
		return q, err
	}
	if !slices.ContainsFunc(targets, func(t Target) bool { return t.Unpaired() != "" }) {
		q.allHeld = c.Now()
	}
	q.watch()
	return q, nil
}

// each does something in all pods at once. An error in one ends it in the others.
func (q *Session) each(ctx context.Context, do func(context.Context, *podSession) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	errs := make([]error, len(q.pods))
	var all sync.WaitGroup
	for i, p := range q.pods {
		all.Go(func() {
			if errs[i] = do(ctx, p); errs[i] != nil {
				cancel(errOther)
			}
		})
	}
	all.Wait()
	return firstCause(errs)
}

// errOther ends the quieting of the other pods when one has failed.
var errOther = errors.New("another pod could not be quieted")

// firstCause is the first error that isn't only the consequence of another.
func firstCause(errs []error) error {
	var consequence error
	for _, err := range errs {
		if err != nil && !errors.Is(err, errOther) {
			return err
		}
		consequence = cmp.Or(consequence, err)
	}
	return consequence
}

func (p *podSession) begin(ctx, life context.Context, c clock.PassiveClock) error {
	if p.target.Method == v1alpha1.MethodHold {
		p.held = open(life, p.process(p.target.Hold.Container, p.target.Mark), p.target.Hold.Args)
		if err := p.held.awaitHeld(ctx); err != nil {
			return inPod(p.target, err)
		}
		p.heldAt = c.Now()
		return nil
	}
	if p.target.isPair() {
		p.heldAt = c.Now()
	}
	p.pre = p.runPre(ctx)
	return inPod(p.target, p.pre)
}

// errMayGoOn says that a command was asked for and that nobody has seen its
// end: it could freeze at any time.
var errMayGoOn = errors.New("it may still be at work")

// runPre runs the pre-hook, which refuses where its watchman is no more.
func (p *podSession) runPre(ctx context.Context) error {
	run := p.process(p.target.Pre.Container, p.target.Mark)
	run.isWatched = p.watch != nil
	if p.target.Pre.Container != p.target.Post.Container {
		run.isWatched = p.aside != nil
	}
	return run.runHook(ctx, "pre-hook", p.target.Pre)
}

func (p *podSession) runPost(ctx context.Context) error {
	return p.process(p.target.Post.Container, p.target.Mark).runHook(ctx, "post-hook", p.target.Post)
}

// runHook runs one command to its end. One that is still at work when its time
// is over, its own or that of ctx, is killed where we can: it could win later.
func (p *process) runHook(ctx context.Context, what string, c Command) error {
	if !c.isSet() {
		return nil
	}
	if c.Timeout > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("it did not end within %s", c.Timeout))
		defer cancel()
		ctx = limited
	}
	var out tail
	// The stream lives on after ctx: its end is the command's, and a command
	// that was asked for may begin only then.
	stream, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	ended, looked := make(chan struct{}), make(chan struct{})
	var found bool
	var doubt error
	stop := context.AfterFunc(ctx, func() {
		defer close(looked)
		defer cut()
		found, doubt = p.endNow(ctx, ended)
	})
	err := p.run(stream, c.Args, nil, &out)
	close(ended)
	inTime, never := stop(), error(nil)
	if inTime {
		never = p.neverRan(ctx, c.Args, err, &out)
	} else {
		<-looked // which must be over: the next command has the same mark
	}
	switch {
	case err == nil:
		return nil
	case never != nil:
		return failure(what, Join(never, err), &p.stderr, &out)
	case inTime && isExit(err):
		return failure(what, err, &p.stderr, &out)
	case inTime:
		found, doubt = p.endBroken(ctx)
	}
	if doubt == nil && !found && !isExit(err) {
		doubt = errMayGoOn // a runtime that hangs may begin it yet
	}
	switch {
	case inTime:
		return failure(what, Join(err, doubt), &p.stderr, &out)
	case doubt != nil:
		return failure(what+" was still at work and may go on", Join(context.Cause(ctx), doubt), &p.stderr, &out)
	}
	return failure(what+" was still at work and was killed", context.Cause(ctx), &p.stderr, &out)
}

func (p *podSession) process(container string, mark Mark) *process {
	return &process{executor: p.exec, container: Container{Namespace: p.target.Namespace, Pod: p.target.Pod, Name: container}, mark: mark}
}

// note keeps the time of the first pod that became quiet: there may be one
// where another could not be quieted.
func (q *Session) note() {
	for _, p := range q.pods {
		if !p.heldAt.IsZero() && (q.firstHeld.IsZero() || p.heldAt.Before(q.firstHeld)) {
			q.firstHeld = p.heldAt
		}
	}
}

// watch closes lost when a session ends.
func (q *Session) watch() {
	var once sync.Once
	for _, p := range q.pods {
		for _, s := range p.sessions() {
			go func() {
				<-s.done
				once.Do(func() { close(q.lost) })
			}()
		}
	}
}

// sessions are those that last as long as the quiet.
func (p *podSession) sessions() (all []*heldSession) {
	if p.held != nil {
		all = append(all, p.held)
	}
	for _, w := range []*watchman{p.watch, p.aside} {
		if w != nil {
			all = append(all, w.heldSession)
		}
	}
	return all
}

// Lost is closed when a held session or a watchman has ended: before End it means
// that the quiet may be over already. Hooks without a watchman never lose it, as
// far as we can know.
func (q *Session) Lost() <-chan struct{} { return q.lost }

// HeldAt is when all pods were quiet, zero where they never were, or where half
// a pair of hooks doesn't say so.
func (q *Session) HeldAt() time.Time { return q.allHeld }

// FirstHeldAt is the earliest moment from which a pod may have been quiet: its
// HELD, or the start of the pre-hook of a pair. It is zero where none was.
func (q *Session) FirstHeldAt() time.Time { return q.firstHeld }

// End releases all pods at once, whatever became of their quieting, and says
// of each what is known. It returns by the end of ctx, and earlier once each
// session has had its grace and each post-hook its timeout.
func (q *Session) End(ctx context.Context) map[types.UID]Release {
	releases := make([]Release, len(q.pods))
	grace := grace(q.deadline.Sub(q.clock.Now()))
	var all sync.WaitGroup
	for i, p := range q.pods {
		all.Go(func() {
			releases[i] = p.end(ctx, grace)
			releases[i].At = q.clock.Now()
		})
	}
	all.Wait()
	byPod := make(map[types.UID]Release, len(q.pods))
	for i, p := range q.pods {
		byPod[p.target.UID] = releases[i]
	}
	return byPod
}

func (p *podSession) end(ctx context.Context, grace time.Duration) Release {
	if p.held != nil {
		return p.endSession(ctx, grace)
	}
	return p.released(p.endWatched(ctx, grace))
}

// released is the end of a pair of hooks, by what became of its watchman and of
// its post-hook. What never ran froze nothing, so that nothing depends on its
// post-hook: it is run all the same, as anything but a proof would have it.
func (p *podSession) released(watch, post error) Release {
	if post != nil && !errors.Is(p.pre, errNeverRan) {
		return Release{Err: inPod(p.target, Join(watch, post))}
	}
	for _, err := range []error{p.pre, watch} {
		if errors.Is(err, errMayGoOn) {
			return Release{Err: inPod(p.target, err)} // it may freeze, or thaw, after the post-hook
		}
	}
	return Release{Thawed: true, Testified: p.pre == nil && watch == nil, Err: inPod(p.target, watch)}
}

// endSession releases a session. A freeze that outlives its session is thawed by the
// post-hook as well, which does no harm where the session has done so itself. What
// couldn't be killed may freeze after that.
func (p *podSession) endSession(ctx context.Context, grace time.Duration) Release {
	r := p.held.release(ctx, grace)
	r.Err = inPod(p.target, r.Err)
	if !p.target.Post.isSet() {
		return r
	}
	_, err := p.endWatched(ctx, grace) // whether it was lost is the session's to say
	if r.Testified || errors.Is(r.Err, errNeverRan) {
		return r
	}
	r.Thawed = err == nil && !errors.Is(r.Err, errMayGoOn)
	r.Err = Join(r.Err, inPod(p.target, err))
	return r
}

// EndLeftover ends what is left in a container of an attempt's commands after a
// crash: they could freeze, or stay frozen, for as long as they like. It ends all
// watchmen of the pod, too: whoever quiets it meanwhile can't call that good. An error
// is a doubt: something of them may still be at work. It is ErrNoShell where
// that can't be found out, however well the commands behave: nobody has seen
// the end of their streams.
func EndLeftover(ctx context.Context, executor Executor, c Container, pod types.UID, mark Mark) error {
	left := process{executor: executor, container: c, mark: mark}
	return inPod(Target{Pod: c.Pod}, left.endAll(ctx, watchmanOf(mark), allWatchmenOf(pod)))
}

// endAll ends what has its mark, or one of the others. The error is a doubt.
func (p *process) endAll(ctx context.Context, others ...Mark) error {
	if _, err := p.kill(ctx, others...); err != nil {
		return fmt.Errorf("a hold or hook of it may still be at work: %w", err)
	}
	return nil
}

// Thaw ends what is left of an attempt in the container of a target's post-hook, as
// EndLeftover does, and runs the post-hook, after a crash or a failure, for as long as
// it may take.
func Thaw(ctx context.Context, executor Executor, t Target) error {
	p := newPodSession(t, executor)
	doubt := p.takeOver(ctx)
	lost, post := p.endWatched(ctx, maxGrace)
	if errors.Is(lost, errMayGoOn) {
		doubt = Join(doubt, lost)
	}
	return inPod(p.target, Join(doubt, post))
}

// isExit is true for the error of a command that ran and ended with a code.
func isExit(err error) bool {
	var exit exec.ExitError
	return errors.As(err, &exit) && exit.Exited()
}

// exitedWith is true for a command that ran and ended with that code.
func exitedWith(code int, err error) bool {
	var exit exec.ExitError
	return errors.As(err, &exit) && exit.Exited() && exit.ExitStatus() == code
}

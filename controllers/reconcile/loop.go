package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Step is one step of a kind, in the order in which they are asked.
type Step struct {
	// Name stands in the log.
	Name string
	// Take takes the step, or skips it where it isn't needed.
	Take func(context.Context) Outcome
}

// Loop reconciles the objects of one kind.
type Loop[T Object] struct {
	client.Client
	// Live reads past the cache.
	Live   client.Reader
	Events events.EventRecorder
	Clock  clock.PassiveClock

	// New is an empty object of the kind.
	New func() T
	// AtRest is true for an object with nothing to do, by a copy in the cache
	// that may be old. Any other is read past the cache before a step is taken:
	// an old copy could show a step as not begun that is.
	AtRest func(context.Context, T) bool
	// FromCache is true for a kind whose steps do no harm when they are taken
	// twice: its objects aren't read past the cache.
	FromCache bool
	// Steps of an object, in order.
	Steps func(*Scope[T]) []Step
	// Stalled says what becomes of an object that only a person can help.
	Stalled func(*Scope[T], *v1alpha1.Problem) Outcome
	// Summarize derives from the conditions what is for people, before each
	// write.
	Summarize func(*Scope[T])
	// Seen is told of each object as it is at the end of a reconcile, and of
	// each that is gone, as its empty value. It may be nil.
	Seen func(types.NamespacedName, T)
}

const (
	// maxRepeats bounds how often one reconcile takes the same step in a row:
	// what was done may need a moment to show, or somebody undoes it each time.
	maxRepeats = 5
	// repeatDelay is how long it is left alone then.
	repeatDelay = time.Second
	// conflictDelay is how soon it is looked again after somebody has written
	// the object.
	conflictDelay = 10 * time.Millisecond
)

// Options are those of a kind's controller. A reconcile that failed is tried
// again after five seconds at the latest: an application may wait for it.
func Options(kind string, workers int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: workers,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](5*time.Millisecond, 5*time.Second),
		LogConstructor: func(req *ctrl.Request) logr.Logger {
			logger := log.Log.WithValues("kind", kind)
			if req != nil {
				logger = logger.WithValues("namespace", req.Namespace, "name", req.Name)
			}
			return logger
		},
	}
}

// Reconcile brings one object on for as long as nothing has to be waited for.
func (l *Loop[T]) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	obj, atRest, err := l.read(ctx, req.NamespacedName)
	if apierrors.IsNotFound(err) {
		l.seen(req.NamespacedName, l.New())
	}
	if err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	s := l.scope(ctx, obj)
	defer func() { l.seen(req.NamespacedName, s.written) }()
	if atRest {
		return ctrl.Result{}, nil
	}
	return l.finish(ctx, s, l.walk(ctx, s))
}

// read reads the object by the cache and, where it has something to do, past it:
// into an empty one, since what a read doesn't find it leaves as it is.
func (l *Loop[T]) read(ctx context.Context, key types.NamespacedName) (obj T, atRest bool, err error) {
	obj = l.New()
	if err := l.Get(ctx, key, obj); err != nil || l.AtRest(ctx, obj) {
		return obj, true, err
	}
	if l.FromCache {
		return obj, false, nil
	}
	obj = l.New()
	return obj, false, l.Live.Get(ctx, key, obj)
}

func (l *Loop[T]) seen(key types.NamespacedName, obj T) {
	if l.Seen != nil {
		l.Seen(key, obj)
	}
}

func (l *Loop[T]) scope(ctx context.Context, obj T) *Scope[T] {
	s := &Scope[T]{Object: obj, writer: l.Client, events: l.Events, clock: l.Clock, log: log.FromContext(ctx), summarize: l.Summarize}
	s.accept()
	return s
}

// walk takes steps until one of them has to wait.
func (l *Loop[T]) walk(ctx context.Context, s *Scope[T]) Outcome {
	last, repeats := "", 0
	steps := l.Steps(s)
	for {
		out := l.take(ctx, s, steps)
		if out.step != last {
			last, repeats = out.step, 0
		}
		if repeats++; out.verb != again {
			return out
		}
		if repeats > maxRepeats {
			return Wait(repeatDelay)
		}
	}
}

// take takes the first step that isn't skipped, and logs it in one line. An
// object that waits on, or has nothing to do, logs nothing.
func (l *Loop[T]) take(ctx context.Context, s *Scope[T], steps []Step) Outcome {
	latest := time.Duration(0)
	for _, step := range steps {
		began := l.Clock.Now()
		out := step.Take(ctx)
		if out.verb == skip {
			latest = sooner(latest, out.after)
			continue
		}
		if out.step == "" {
			out.step = step.Name
		}
		took := []any{"step", out.step, "duration", l.Clock.Since(began).String()}
		switch out.verb {
		case stall:
			s.log.Info("step failed", append(took, "reason", out.problem.Reason, "error", out.problem.Message)...)
			return l.Stalled(s, out.problem).In(out.step)
		case retry:
			if !apierrors.IsConflict(out.err) { // somebody was faster: no matter
				s.log.Info("step failed", append(took, "error", out.err.Error())...)
			}
		case again:
			s.log.Info("step taken", took...)
		}
		return out.Within(latest)
	}
	return Done().Within(latest)
}

// sooner is the shorter of two times to look again, where 0 is never.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b == 0 {
		return a + b
	}
	return min(a, b)
}

// finish writes what the steps came to, and turns it into a result. After a
// conflict it is looked again: what somebody wrote may change what is to be done.
//
// Another try of what the API server has no room for comes to the same: what becomes
// of the object, as it was last written, is the kind's to say. Where not even that has
// room an event tells it, and the object comes here again when somebody changes it.
func (l *Loop[T]) finish(ctx context.Context, s *Scope[T], out Outcome) (ctrl.Result, error) {
	var err error
	for isGivenUp := false; ; isGivenUp = true {
		if err = out.err; err == nil && !out.unsaved {
			err = client.IgnoreNotFound(s.Save(ctx))
		}
		if !IsTooLarge(err) {
			break
		}
		p := noRoom(err)
		s.forget()
		s.log.Info("gives up", "reason", p.Reason, "error", p.Message)
		if isGivenUp {
			s.Record(Warning(p.Reason, "Write", "%s", p.Message))
			return ctrl.Result{}, nil
		}
		out = l.Stalled(s, p)
	}
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: conflictDelay}, nil
	}
	if err != nil {
		return ctrl.Result{}, errors.Join(err, s.tellError(ctx, err))
	}
	return ctrl.Result{RequeueAfter: out.after}, nil
}

func noRoom(refused error) *v1alpha1.Problem {
	return v1alpha1.Problemf(v1alpha1.ReasonLimitExceeded,
		"the API server has no room for what is to be written: %.512v. Take labels and annotations off the objects, or make the spec smaller", refused)
}

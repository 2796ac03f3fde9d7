package watchlist

import (
	"context"
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// listerWatcher is another one, but for what its watches begin with.
type listerWatcher struct {
	cache.ListerWatcherWithContext
	resource Resource
	wanted   Wanted
}

// Wanted is what of all that is there a watch begins with. Without anything it is all.
type Wanted struct {
	// None is asked as a list begins, and is true where nothing is.
	None func() bool
	// Object is true for one that is. The others take no memory.
	Object func(context.Context, runtime.Object) bool
}

// Before is another ListerWatcher of the resource. A reflector asks for a watch that
// begins with what is there. For that an API server makes each object an event of
// its own, which a client goes through several times: for its end, for the event, for
// the kind and for the object. Of a list that is done twice, here of one object at a
// time, so that not all of it is in memory.
func (r Resource) Before(from cache.ListerWatcher, wanted Wanted) cache.ListerWatcher {
	return listerWatcher{cache.ToListerWatcherWithContext(from), r, wanted}
}

// List implements cache.Lister.
func (l listerWatcher) List(o metav1.ListOptions) (runtime.Object, error) {
	return l.ListWithContext(context.Background(), o)
}

// Watch implements cache.Watcher.
func (l listerWatcher) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return l.WatchWithContext(context.Background(), o)
}

// WatchWithContext implements cache.WatcherWithContext.
func (l listerWatcher) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	if !ptr.Deref(o.SendInitialEvents, false) || l.resource.breaksOff.Load() {
		return l.ListerWatcherWithContext.WatchWithContext(ctx, o)
	}
	o.SendInitialEvents, o.ResourceVersionMatch = nil, ""
	ctx, stop := context.WithCancel(ctx)
	s := &stream{listerWatcher: l, stop: stop, events: make(chan watch.Event)}
	go s.run(ctx, o)
	return s, nil
}

// stream is a watch that begins with what is there.
type stream struct {
	listerWatcher
	stop   context.CancelFunc
	events chan watch.Event
}

// Stop implements watch.Interface.
func (s *stream) Stop() { s.stop() }

// ResultChan implements watch.Interface.
func (s *stream) ResultChan() <-chan watch.Event { return s.events }

// run sends what is there, the bookmark that ends it, and what changes after that.
func (s *stream) run(ctx context.Context, o metav1.ListOptions) {
	defer close(s.events)
	defer s.stop()
	version, err := s.sendList(ctx)
	if err == nil {
		err = s.send(ctx, watch.Event{Type: watch.Bookmark, Object: s.end(version)})
	}
	if err == nil {
		o.ResourceVersion = version
		err = s.sendChanges(ctx, o)
	}
	if err != nil {
		_ = s.send(ctx, watch.Event{Type: watch.Error, Object: statusOf(err)}) // nobody listens any more where that fails
	}
}

// sendList comes back with the version of the list.
func (s *stream) sendList(ctx context.Context) (version string, err error) {
	if s.wanted.None != nil && s.wanted.None() {
		return s.newest(ctx)
	}
	return s.resource.each(ctx, func(obj runtime.Object) error {
		if s.wanted.Object != nil && !s.wanted.Object(ctx, obj) {
			return nil
		}
		return s.send(ctx, watch.Event{Type: watch.Added, Object: obj})
	})
}

// newest is the version of what is there now.
func (s *stream) newest(ctx context.Context) (version string, err error) {
	list, err := s.ListWithContext(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return "", err
	}
	m, err := meta.ListAccessor(list)
	if err != nil {
		return "", err
	}
	return m.GetResourceVersion(), nil
}

// end is the object of the bookmark after what is there.
func (s *stream) end(version string) runtime.Object {
	end := s.resource.empty()
	end.SetResourceVersion(version)
	end.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	return end
}

func (s *stream) sendChanges(ctx context.Context, o metav1.ListOptions) error {
	changes, err := s.ListerWatcherWithContext.WatchWithContext(ctx, o)
	if err != nil {
		return err
	}
	defer changes.Stop()
	defer context.AfterFunc(ctx, changes.Stop)()
	for change := range changes.ResultChan() {
		if err := s.send(ctx, change); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) send(ctx context.Context, event watch.Event) error {
	select {
	case s.events <- event:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// statusOf is what an API server would send for an error. What it didn't send itself
// is a connection that broke off: a reflector tries again after what says that there
// are too many requests, and after anything else it lists all into memory.
func statusOf(err error) runtime.Object {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return ptr.To(status.Status())
	}
	return &metav1.Status{Status: metav1.StatusFailure, Code: http.StatusTooManyRequests, Reason: metav1.StatusReasonTooManyRequests, Message: err.Error()}
}

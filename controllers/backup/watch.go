package backup

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/controllers/watchlist"
)

// A cluster has many more snapshots than ones that anybody still asks for. The
// cache of a manager would keep them all; here a keeper keeps what it needs.

// keeper is told of the objects of a kind, and keeps what it needs of them.
type keeper interface {
	// wants is true for an object that is to be kept.
	wants(context.Context, client.Object) bool
	// keep is told of an object that is there, as it is now.
	keep(context.Context, client.Object)
	// forget is told of one that is gone.
	forget(client.Object)
	// kept are those that are kept.
	kept() []client.Object
	// lists is told that a list of what is there begins, once or more, and listed that
	// it is through.
	lists()
	listed() error
	// wakes has what the keeper tells come to a controller's queue.
	wakes(queue)
}

// storeless is a source of a controller, whose workers start once it is synced:
// it watches objects of a kind for a keeper.
type storeless struct {
	keeper   keeper
	from     client.WithWatch
	resource watchlist.Resource
	// only bounds which objects are watched.
	only client.MatchingLabels
	// empty and list are an object and a list of the kind.
	empty client.Object
	list  func() client.ObjectList
	// first is what has to be done before they are listed. It may be nil.
	first func(context.Context) error
	// onlyChanges is set where nobody asks for what is there at the start.
	onlyChanges bool

	syncing sync.Once
	synced  chan struct{}
	failure error
}

// newClient is one that watches, and has no cache.
func newClient(mgr ctrl.Manager) (client.WithWatch, error) {
	return client.NewWithWatch(mgr.GetConfig(), client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient()})
}

// Start implements source.Source.
func (s *storeless) Start(ctx context.Context, q queue) error {
	s.keeper.wakes(q)
	s.synced = make(chan struct{})
	options := func(raw metav1.ListOptions) *client.ListOptions {
		o := listOptions(raw)
		s.only.ApplyToList(o)
		return o
	}
	lw := &toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list := s.list()
			return list, s.from.List(ctx, list, options(o))
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return s.from.Watch(ctx, s.list(), options(o))
		},
	}
	reflector := toolscache.NewReflectorWithOptions(s.resource.Before(lw, watchlist.Wanted{None: s.wantsNone, Object: s.wants}), s.empty, s, toolscache.ReflectorOptions{Name: s.String()})
	go func() {
		if s.first != nil {
			if s.failure = s.first(ctx); s.failure != nil {
				s.sync()
				return
			}
		}
		reflector.RunWithContext(ctx)
	}()
	return nil
}

// listOptions are those of a client for what a reflector asks for. Its limit and where
// a page goes on count only where they stand beside the rest.
func listOptions(raw metav1.ListOptions) *client.ListOptions {
	return &client.ListOptions{Raw: &raw, Limit: raw.Limit, Continue: raw.Continue}
}

// wantsNone is asked as a list begins, and is true where nobody asks yet. After a watch
// was lost what is kept may have changed unnoticed.
func (s *storeless) wantsNone() bool {
	s.keeper.lists()
	select {
	case <-s.synced:
		return false
	default:
		return s.onlyChanges
	}
}

func (s *storeless) wants(ctx context.Context, obj runtime.Object) bool {
	o, is := obj.(client.Object)
	return is && s.keeper.wants(ctx, o)
}

func (s *storeless) sync() { s.syncing.Do(func() { close(s.synced) }) }

// WaitForSync implements source.SyncingSource.
func (s *storeless) WaitForSync(ctx context.Context) error {
	select {
	case <-s.synced:
		return s.failure
	case <-ctx.Done():
		return fmt.Errorf("%s could not be listed: %w", s, context.Cause(ctx))
	}
}

func (s *storeless) String() string { return fmt.Sprintf("all %T", s.empty) }

// Transformer implements toolscache.TransformingStore.
func (s *storeless) Transformer() toolscache.TransformFunc { return onlyCut }

// Add implements toolscache.ReflectorStore.
func (s *storeless) Add(obj any) error { return s.Update(obj) }

// Update implements toolscache.ReflectorStore.
func (s *storeless) Update(obj any) error {
	only, err := onlyCut(obj)
	if o, ok := only.(client.Object); ok {
		s.keeper.keep(context.Background(), o)
	}
	return err
}

// Delete implements toolscache.ReflectorStore.
func (s *storeless) Delete(obj any) error {
	if o, ok := obj.(client.Object); ok {
		s.keeper.forget(o)
	}
	return nil
}

// Replace implements toolscache.ReflectorStore. It has what is there at the start,
// and after a watch was lost: what is kept and isn't among it has gone since.
func (s *storeless) Replace(objs []any, _ string) error {
	s.keeper.lists() // where it wasn't listed by us
	there := map[types.UID]bool{}
	for _, obj := range objs {
		o, err := meta.Accessor(obj)
		if err != nil {
			return err
		}
		there[o.GetUID()] = true
		if err := s.Update(obj); err != nil {
			return err
		}
	}
	for _, obj := range s.keeper.kept() {
		if !there[obj.GetUID()] {
			s.keeper.forget(obj)
		}
	}
	if err := s.keeper.listed(); err != nil {
		return err
	}
	s.sync()
	return nil
}

// Resync implements toolscache.ReflectorStore. No reflector of ours asks for it.
func (s *storeless) Resync() error { return nil }

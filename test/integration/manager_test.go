package integration

import (
	"context"
	"errors"
	"net/http"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks/hookstest"
)

// manager is a real manager with the rights of its service account. It sees
// one namespace only, so that many run side by side. It passes through points,
// each write to the API and each word of a session, at any of which it can be
// killed.
type manager struct {
	fc *fakeCluster
	// stopAll tells it to stop, as SIGTERM does.
	stopAll context.CancelFunc
	// life is over when it is killed: its streams break.
	life context.Context
	end  context.CancelFunc
	done chan struct{}

	fault fault
	// noShell: the containers have none.
	noShell bool
	// clock is the one that it goes by.
	clock clock.PassiveClock
	// looks are how often it has begun to work on an object.
	looks atomic.Int32
	// late: its cache has none of its snapshots yet.
	late atomic.Bool

	mu     sync.Mutex
	points []string
}

// fault is what happens at a manager's n-th point, from 0.
type fault func(n int, what string) action

// action is what a fault does to a write.
type action struct {
	// kill before the write, or after it has reached the server.
	kill when
	// err is what the write returns.
	err error
	// lost: the write reaches the server and only its answer is lost.
	lost bool
}

type when int

const (
	never when = iota
	before
	after
)

var errKilled = errors.New("this manager is dead")

// aManager of backups starts.
func (fc *fakeCluster) aManager(change ...func(*manager, *options)) *manager {
	fc.Helper()
	m, o := fc.newManager(), defaultOptions()
	o.Workers = 4
	o.MinFreezeInterval, o.SnapshotsPerSecond = 0, 0 // how long a freeze waits is a test of its own
	for _, c := range change {
		c(m, &o)
	}
	m.start(func(ctx context.Context, mgr ctrl.Manager) (drain func(context.Context), err error) {
		return setUp(ctx, mgr, &mortalReader{mgr.GetAPIReader(), m}, &containers{m: m, processes: hookstest.Executor{NoShell: m.noShell}}, &fc.nodes, m.clock, o)
	})
	return m
}

// aPolicyManager starts, which makes and removes backups and takes none.
func (fc *fakeCluster) aPolicyManager() *manager {
	fc.Helper()
	m := fc.newManager()
	m.start(func(ctx context.Context, mgr ctrl.Manager) (drain func(context.Context), err error) {
		return func(context.Context) {}, setUpPolicies(ctx, mgr, &mortalReader{mgr.GetAPIReader(), m}, m.clock)
	})
	return m
}

// aRestoreManager starts, which carries out restores and takes no backups.
func (fc *fakeCluster) aRestoreManager() *manager {
	fc.Helper()
	m := fc.newManager()
	m.start(func(_ context.Context, mgr ctrl.Manager) (drain func(context.Context), err error) {
		return func(context.Context) {}, setUpRestores(mgr, &mortalReader{mgr.GetAPIReader(), m}, m.clock)
	})
	return m
}

func (fc *fakeCluster) newManager() *manager {
	return &manager{fc: fc, done: make(chan struct{}), fault: func(int, string) action { return action{} }}
}

// start starts a manager with the controllers that setUp adds to it.
func (m *manager) start(setUp func(context.Context, ctrl.Manager) (drain func(context.Context), err error)) {
	fc := m.fc
	fc.Helper()
	ctx, stop := context.WithCancel(fc.ctx)
	m.stopAll = stop
	m.life, m.end = context.WithCancel(fc.ctx)
	config := rest.CopyConfig(asManager)
	config.Wrap(m.notesLists)
	m.clock = newClock(config, fc.nextMachine())
	mgr, err := ctrl.NewManager(config, m.managerOptions(config))
	fc.must(err)
	drain, err := setUp(ctx, mgr)
	fc.must(err)
	fc.managers = append(fc.managers, m)
	go func() {
		defer close(m.done)
		if err := mgr.Start(ctx); err != nil && m.life.Err() == nil {
			fc.journal.add("the manager ended: %v", err)
		}
		if m.life.Err() == nil {
			drain(m.life)
		}
	}()
}

// lists is what the journal says of a list, with the kind behind it.
const lists = "list "

// notesLists notes each list, or watch that begins with one.
func (m *manager) notesLists(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		if kind := path.Base(req.URL.Path); req.Method == http.MethodGet && strings.HasSuffix(kind, "s") {
			m.fc.journal.add(lists+"%s", kind)
		}
		return next.RoundTrip(req)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

// managerOptions are those of cmd/manager, for one namespace.
func (m *manager) managerOptions(config *rest.Config) ctrl.Options {
	m.fc.Helper()
	inNamespace, err := cacheOptions(config, m.fc.namespace)
	m.fc.must(err)
	return ctrl.Options{
		Scheme:                  scheme,
		Metrics:                 server.Options{BindAddress: "0"},
		HealthProbeBindAddress:  "0",
		GracefulShutdownTimeout: ptr.To(45 * time.Second),
		Controller:              ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
		Cache:                   inNamespace,
		NewClient: func(config *rest.Config, options client.Options) (client.Client, error) {
			c, err := client.NewWithWatch(config, options)
			if err != nil {
				return nil, err
			}
			return interceptor.NewClient(c, m.interceptions()), nil
		},
	}
}

func withFault(f fault) func(*manager, *options) {
	return func(m *manager, _ *options) { m.fault = f }
}

func withOptions(change func(*options)) func(*manager, *options) {
	return func(_ *manager, o *options) { change(o) }
}

// stop tells the manager to stop and waits until it has; a dead one is not
// waited for.
func (m *manager) stop() {
	m.stopAll()
	select {
	case <-m.done:
	case <-m.life.Done():
	}
}

// kill ends the manager as SIGKILL does: its streams break, and nothing that
// it does from now on reaches anybody.
func (m *manager) kill() {
	m.end()
	m.stopAll()
}

func (m *manager) dead() bool { return m.life.Err() != nil }

// passed are the points that the manager went through.
func (m *manager) passed() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.points...)
}

// at is one point.
func (m *manager) at(what string) action {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.points)
	m.points = append(m.points, what)
	return m.fault(n, what)
}

// say is a point of a session, where all that can happen is the end.
func (m *manager) say(what string) {
	if m.dead() {
		return
	}
	if m.at(what).kill != never {
		m.fc.journal.add("killed at %s", what)
		m.kill()
	}
}

const writes = "write: "

// write is a write to the API, of which there are two points in one: before it
// and after it.
func (m *manager) write(what string, do func() error) error {
	if m.dead() {
		return errKilled
	}
	a := m.at(writes + what)
	if a.kill == before {
		m.fc.journal.add("killed before %s", what)
		m.kill()
		return errKilled
	}
	if a.err != nil && !a.lost {
		m.fc.journal.add("refused %s: %v", what, a.err)
		return a.err
	}
	m.fc.journal.add("%s", what)
	err := do()
	switch {
	case a.kill == after:
		m.fc.journal.add("killed after %s", what)
		m.kill()
		return errKilled
	case m.dead():
		return errKilled
	case a.err != nil:
		return a.err
	}
	return err
}

func (m *manager) interceptions() interceptor.Funcs {
	return interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if m.dead() {
				return errKilled
			}
			if _, ok := obj.(*snapshotv1.VolumeSnapshot); ok && m.late.Load() {
				return apierrors.NewNotFound(snapshotv1.Resource("volumesnapshots"), key.Name)
			}
			return c.Get(ctx, key, obj, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if m.dead() {
				return errKilled
			}
			return c.List(ctx, list, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			return m.write(named("create", obj), func() error { return c.Create(ctx, obj, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			return m.write(named("delete", obj), func() error { return c.Delete(ctx, obj, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			return m.write(named("patch", obj), func() error { return c.Patch(ctx, obj, patch, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			return m.write(named("update", obj), func() error { return c.Update(ctx, obj, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			return m.write(named("patch "+sub+" of", obj), func() error {
				if b, ok := obj.(*v1alpha1.VolumeBackup); ok {
					m.fc.journal.add("  says: %s", b.Status.Message)
				}
				return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
			})
		},
	}
}

func named(verb string, obj client.Object) string {
	if claim := obj.GetLabels()[v1alpha1.LabelClaim]; claim != "" {
		return verb + " snapshot of " + claim
	}
	return verb + " backup"
}

// mortalReader reads for as long as its manager lives.
type mortalReader struct {
	client.Reader
	m *manager
}

func (r *mortalReader) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if r.m.dead() {
		return errKilled
	}
	switch obj.(type) {
	case *v1alpha1.VolumeBackup, *v1alpha1.VolumeRestore: // each time that it begins to work on one
		r.m.looks.Add(1)
	}
	return r.Reader.Get(ctx, key, obj, opts...)
}

func (r *mortalReader) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if r.m.dead() {
		return errKilled
	}
	return r.Reader.List(ctx, list, opts...)
}

package controllers

import (
	"cmp"
	"context"
	"maps"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/backup"
	"github.com/lull-dev/lull/controllers/inuse"
	read "github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/policy"
	"github.com/lull-dev/lull/controllers/repository"
	"github.com/lull-dev/lull/controllers/restore"
	"github.com/lull-dev/lull/controllers/servertime"
	"github.com/lull-dev/lull/controllers/shipped"
	"github.com/lull-dev/lull/controllers/watchlist"
	"github.com/lull-dev/lull/deploy"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot/limits"
	decisions "github.com/lull-dev/lull/snapshot/restore"
)

// MountCheckCommand is the argument by which a manager's image is told to check
// that volumes mount. Their paths come after it.
const MountCheckCommand = decisions.MountCheckCommand

// ParseResources reads what mount check pods ask for, as a flag writes it. What
// isn't said stays as in base.
func ParseResources(text string, base corev1.ResourceRequirements) (corev1.ResourceRequirements, error) {
	return decisions.ParseResources(text, base)
}

// ClientQPS and ClientBurst are the limits of each client of a manager, in requests
// a second and at once: a freeze must not wait for a limit of our own.
const (
	ClientQPS   = 200
	ClientBurst = 400
)

// Options are the limits of all kinds, and what they work with.
type Options struct {
	Backup  backup.Options
	Restore restore.Options
	Policy  policy.Options
	// Executor runs the commands of hooks.
	Executor hooks.Executor
	// PolicyClient is the client of the policies. Default: the manager's own.
	PolicyClient client.Client
	// Namespace of the manager's own Deployment, empty for one that is of none.
	Namespace string
	// Live reads past the cache. Default: the manager's own reader.
	Live client.Reader
	// Clock is one of NewClock. Default: that of this machine.
	Clock clock.PassiveClock
}

// NewClock is the clock of the API server that a configuration leads to, as far as
// whatever is made of the configuration from now on hears of it. It begins by the clock
// of this machine.
func NewClock(config *rest.Config, machine clock.PassiveClock) clock.PassiveClock {
	c := servertime.New(machine)
	config.Wrap(c.Follow)
	return c
}

// DefaultOptions are the limits where nobody says otherwise.
func DefaultOptions() Options {
	return Options{Backup: backup.DefaultOptions(), Restore: restore.DefaultOptions(), Policy: policy.DefaultOptions()}
}

// SetUp registers all controllers with a manager, whose cache is made by
// CacheOptions. drain waits, once the manager has stopped, until no application
// is held any more, or its context ends.
func SetUp(ctx context.Context, mgr ctrl.Manager, o Options) (drain func(context.Context), err error) {
	live, now := cmp.Or(o.Live, mgr.GetAPIReader()), cmp.Or[clock.PassiveClock](o.Clock, clock.RealClock{})
	nodes, err := read.NewKubelets(mgr.GetConfig())
	if err != nil {
		return nil, err
	}
	policies := &policy.Reconciler{
		Client: cmp.Or(o.PolicyClient, mgr.GetClient()), Live: live,
		Events: mgr.GetEventRecorder("lull"), Clock: now, Machine: clock.RealClock{}, Options: o.Policy,
	}
	movers := &mover.Movers{Writes: mgr.GetClient(), Live: live, Image: o.Restore.Image}
	repositories := &repository.Reconciler{
		Client: mgr.GetClient(), Live: live, Movers: movers,
		Events: mgr.GetEventRecorder("lull"), Clock: now,
	}
	if err := repositories.SetupWithManager(mgr); err != nil {
		return nil, err
	}
	backups := &backup.Reconciler{
		Client: mgr.GetClient(), Live: live, Cache: mgr.GetCache(), Executor: o.Executor, Nodes: nodes, Movers: movers,
		Events: mgr.GetEventRecorder("lull"), Clock: now, Options: o.Backup, IsRush: policies.IsRush,
	}
	if err := backups.SetupWithManager(ctx, mgr); err != nil {
		return nil, err
	}
	restores := &restore.Reconciler{
		Client: mgr.GetClient(), Live: live, Movers: movers,
		Events: mgr.GetEventRecorder("lull"), Clock: now, Options: o.Restore,
	}
	if err := restores.SetupWithManager(mgr); err != nil {
		return nil, err
	}
	if err := lookAtBounds(mgr, live, now, o); err != nil {
		return nil, err
	}
	return backups.Drain, policies.SetupWithManager(ctx, mgr)
}

// lookAtBounds has a manager look whether the admission policies and CRDs are as they
// were shipped, and say so on the Deployment that it is of, where it is of one.
func lookAtBounds(mgr ctrl.Manager, live client.Reader, now clock.PassiveClock, o Options) error {
	look := &shipped.Look{Live: live, Account: deploy.Account, Image: o.Restore.Image, Clock: clock.RealClock{}, Log: mgr.GetLogger().WithName("shipped")}
	if o.Namespace == "" {
		return mgr.Add(look)
	}
	kube, err := kubernetes.NewForConfig(mgr.GetConfig())
	if err != nil {
		return err
	}
	look.Account = shipped.AccountIn(o.Namespace)
	look.Tell = (&shipped.OnDeployment{Kube: kube, Namespace: o.Namespace, Events: mgr.GetEventRecorder("lull"), Clock: now}).Tell
	return mgr.Add(look)
}

// CacheOptions are what the controllers need of a manager's cache: of what only
// tells that there is something to read no more than that is kept, of what is written
// by others nothing that may be long and isn't decided by, and of no object who wrote
// which field. Snapshots aren't in it. With a namespace it is the only one
// in it.
func CacheOptions(config *rest.Config, namespace string) (cache.Options, error) {
	backups, err := watchlist.NewResource(config, v1alpha1.GroupVersion.WithResource("volumebackups"), &v1alpha1.VolumeBackup{}, watchlist.Which{Namespace: namespace})
	if err != nil {
		return cache.Options{}, err
	}
	options := cache.Options{
		DefaultTransform: withoutRecords,
		NewInformer:      newInformer(backups),
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.VolumeBackup{}:  {Transform: backup.OnlyOutcome},
			&v1alpha1.VolumeRestore{}: {Transform: restore.OnlyProgress},
			&batchv1.Job{}: {
				Label: labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}), Transform: mover.OnlyOwner,
			},
		},
	}
	for _, kind := range policy.WatchedKinds() {
		options.ByObject[kind] = cache.ByObject{Transform: policy.OnlySelection}
	}
	options.ByObject[&corev1.Pod{}] = cache.ByObject{Transform: onlyWhatPodsTell}
	if namespace != "" {
		options.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	}
	return options, nil
}

// newInformer makes informers as a cache does. What is there at the start of that of
// backups, of which there are very many, is read while it comes.
func newInformer(backups watchlist.Resource) func(toolscache.ListerWatcher, runtime.Object, time.Duration, toolscache.Indexers) toolscache.SharedIndexInformer {
	return func(lw toolscache.ListerWatcher, kind runtime.Object, resync time.Duration, indexers toolscache.Indexers) toolscache.SharedIndexInformer {
		if _, is := kind.(*v1alpha1.VolumeBackup); is {
			lw = backups.Before(lw, watchlist.Wanted{})
		}
		return toolscache.NewSharedIndexInformer(lw, kind, resync, indexers)
	}
}

// withoutRecords leaves out of an object who wrote which field, what kubectl applied
// last, and annotations that are longer than any of ours: together they may be more
// than all the rest, and nobody here reads them.
func withoutRecords(obj any) (any, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return obj, nil //nolint:nilerr // it is what is left of one that is gone
	}
	m.SetManagedFields(nil)
	notes := m.GetAnnotations()
	maps.DeleteFunc(notes, func(key, value string) bool {
		return key == corev1.LastAppliedConfigAnnotation || len(value) > limits.AnnotationBytes
	})
	m.SetAnnotations(notes) // what isn't typed gives a copy
	return obj, nil
}

// onlyWhatPodsTell is for the two watches of pods, of their metadata and of
// where they are.
func onlyWhatPodsTell(obj any) (any, error) {
	obj, err := restore.OnlyIdentity(obj)
	if err != nil {
		return nil, err
	}
	return inuse.OnlyWhereabouts(obj)
}

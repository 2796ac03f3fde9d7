package integration

import (
	"context"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/controllers"
	"github.com/lull-dev/lull/controllers/backup"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/policy"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/controllers/restore"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot/cut"
)

// image is the operator's own, of which nobody runs anything here.
const image = "lull.dev/lull"

// options are those of backups.
type options = backup.Options

func defaultOptions() options { return backup.DefaultOptions() }

// cacheOptions are the operator's, for one namespace.
func cacheOptions(config *rest.Config, namespace string) (cache.Options, error) {
	return controllers.CacheOptions(config, namespace)
}

// newClock is the one that an operator with that configuration goes by, on a machine
// with that clock.
func newClock(config *rest.Config, machine clock.PassiveClock) clock.PassiveClock {
	return controllers.NewClock(config, machine)
}

// attemptDelay is how long the operator waits after the attempt of that number.
func attemptDelay(attempt int32) time.Duration { return cut.AttemptDelay(attempt) }

// setUp adds the controller of backups to a manager, as the operator does. It
// reads past the cache by reader, runs commands by executor, and asks nodes. drain
// waits until no attempt is under way.
func setUp(ctx context.Context, mgr ctrl.Manager, reader client.Reader, executor hooks.Executor, nodes live.Nodes, now clock.PassiveClock, o options) (drain func(context.Context), err error) {
	backups := &backup.Reconciler{
		Client:   mgr.GetClient(),
		Live:     reader,
		Cache:    mgr.GetCache(),
		Executor: executor,
		Movers:   &mover.Movers{Writes: mgr.GetClient(), Live: reader, Image: image},
		Nodes:    nodes,
		Events:   mgr.GetEventRecorder("lull"),
		Clock:    now,
		Options:  o,
	}
	return backups.Drain, backups.SetupWithManager(ctx, mgr)
}

// setUpRestores adds the controller of restores in the same way.
func setUpRestores(mgr ctrl.Manager, reader client.Reader, now clock.PassiveClock) error {
	restores := &restore.Reconciler{
		Client: mgr.GetClient(), Live: reader, Movers: &mover.Movers{Writes: mgr.GetClient(), Live: reader, Image: image},
		Events: mgr.GetEventRecorder("lull"), Clock: now, Options: restore.DefaultOptions(),
	}
	return restores.SetupWithManager(mgr)
}

// setUpPolicies adds the controllers of both kinds of policy in the same way.
func setUpPolicies(ctx context.Context, mgr ctrl.Manager, reader client.Reader, now clock.PassiveClock) error {
	policies := &policy.Reconciler{
		Client: mgr.GetClient(), Live: reader,
		Events: mgr.GetEventRecorder("lull"), Clock: now, Machine: clock.RealClock{}, Options: policy.DefaultOptions(),
	}
	return policies.SetupWithManager(ctx, mgr)
}

// isTooLarge is true for what the operator knows as an answer that there is no room.
func isTooLarge(err error) bool { return reconcile.IsTooLarge(err) }

package integration

import (
	"context"
	"time"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/controllers"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot"
)

// options are those of the operator's controllers.
type options = controllers.Options

func defaultOptions() options { return controllers.DefaultOptions() }

func cacheOptions() cache.Options { return controllers.CacheOptions() }

// attemptDelay is how long the operator waits after the attempt of that number.
func attemptDelay(attempt int32) time.Duration { return snapshot.AttemptDelay(attempt) }

// setUp adds the operator's controllers to a manager, as cmd/manager does. They
// read past the cache by live, and run commands by executor. drain waits until
// no attempt is under way.
func setUp(ctx context.Context, mgr ctrl.Manager, live client.Reader, executor hooks.Executor, o options) (drain func(context.Context), err error) {
	backups := &controllers.VolumeBackupReconciler{
		Client:   mgr.GetClient(),
		Live:     live,
		Cache:    mgr.GetCache(),
		Executor: executor,
		Events:   mgr.GetEventRecorder("lull"),
		Clock:    clock.RealClock{},
		Options:  o,
	}
	return backups.Drain, backups.SetupWithManager(ctx, mgr)
}

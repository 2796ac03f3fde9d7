package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"os"
	goruntime "runtime"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers"
	"github.com/lull-dev/lull/hooks"
)

const (
	leaseName = "lull-manager"
	// shutdownTimeout bounds the release of all sessions when the manager is
	// told to stop. The pod's grace period is longer.
	shutdownTimeout = 45 * time.Second
)

type flags struct {
	metricsAddress, probeAddress string
	leaderElect                  bool
	options                      controllers.Options
}

func main() {
	goruntime.MemProfileRate = 0 // nobody reads that profile, and it takes a few MiB
	if len(os.Args) > 1 && os.Args[1] == controllers.MountCheckCommand {
		checkMounts(os.Args[2:])
		return
	}
	if len(os.Args) > 1 && os.Args[1] == holdCheckCommand {
		if err := checkHold(ctrl.SetupSignalHandler(), os.Args[2:], os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, "hold-check:", err)
			os.Exit(1)
		}
		return
	}
	f := parseFlags()
	if err := run(ctrl.SetupSignalHandler(), f); err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}

func parseFlags() flags {
	f := flags{options: controllers.DefaultOptions()}
	backups, restores := &f.options.Backup, &f.options.Restore
	flag.StringVar(&f.metricsAddress, "metrics-bind-address", ":8443", "Address of the metrics endpoint: HTTPS, for whoever may get /metrics. 0 turns it off.")
	flag.StringVar(&f.probeAddress, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz.")
	flag.BoolVar(&f.leaderElect, "leader-elect", false, "Let only one of several managers work.")
	flag.IntVar(&backups.MaxSnapshotsInFlight, "max-snapshots-in-flight", backups.MaxSnapshotsInFlight, "How many snapshots a driver cuts at once; a freeze waits for its turn before it begins.")
	flag.Var(perSecond{&backups.SnapshotsPerSecond}, "snapshots-per-second", "How many snapshots of a driver are begun a second, at most and over a while; a freeze waits for its turn before it begins. 0 is no limit.")
	flag.IntVar(&backups.Workers, "workers", backups.Workers, "How many backups are worked on at once.")
	flag.Var(bounded{&backups.Limits.Freeze, time.Second, time.Hour}, "max-freeze", "The longest that an application may stay frozen; of a longer timeout so much counts, and the backup says so.")
	flag.Var(bounded{&backups.Limits.PostHook, time.Second, time.Hour}, "max-post-hook", "The longest that a post-hook may take; where its owner asks for more nothing is frozen, and the backup says so.")
	flag.Var(bounded{&backups.MinFreezeInterval, 0, time.Hour}, "min-freeze-interval", "The shortest time from the thaw of an application to its next freeze. 0 is none.")
	flag.DurationVar(&backups.NotFoundTimeout, "not-found-timeout", backups.NotFoundTimeout, "How long a backup or a restore waits for an object that isn't there.")
	flag.DurationVar(&backups.PrepareTimeout, "prepare-timeout", backups.PrepareTimeout, "How long a backup waits for claims that bind, pods that start, and nodes that let go of volumes which no pod writes to.")
	flag.DurationVar(&backups.ExclusivityTimeout, "turn-timeout", backups.ExclusivityTimeout, "How long a backup or a restore waits for another of the same application, or for room at its driver.")
	flag.DurationVar(&backups.CutTimeout, "cut-timeout", backups.CutTimeout, "How long the volumes of an application that isn't frozen may take to be cut.")
	flag.DurationVar(&backups.ReadyTimeout, "ready-timeout", backups.ReadyTimeout, "How long snapshots may take from cut to ready.")
	flag.DurationVar(&backups.ExportTimeout, "export-timeout", backups.ExportTimeout, "How long exports may take from ready snapshots on, waiting among it.")
	flag.StringVar(&restores.Image, "image", "", "Image of the pods that mount restored claims before anything is stopped, this one's. Default: that of the pod POD_NAME.")
	flag.DurationVar(&restores.ClaimTimeout, "claim-timeout", restores.ClaimTimeout, "How long a restore's claims may take to bind and mount, before anything is stopped.")
	flag.DurationVar(&restores.FillTimeout, "fill-timeout", restores.FillTimeout, "How long new claims may take to be filled, from a repository or with paths of a snapshot, waiting among it.")
	flag.IntVar(&restores.MaxKeptVolumes, "max-kept-volumes", restores.MaxKeptVolumes, "How many volumes restores may keep in a namespace; a restore that would keep more is refused. 0 is no bound.")
	flag.Func("mount-check-resources", "What those pods ask for, where it isn't the default: cpu=10m,memory=32Mi,limits.cpu=500m,limits.memory=128Mi. It is fitted to the LimitRanges of their namespace.", func(text string) (err error) {
		restores.MountCheckResources, err = controllers.ParseResources(text, restores.MountCheckResources)
		return err
	})
	logging := zap.Options{}
	logging.BindFlags(flag.CommandLine)
	flag.Parse()
	restores.ExclusivityTimeout, restores.NotFoundTimeout = backups.ExclusivityTimeout, backups.NotFoundTimeout
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))
	return f
}

func run(ctx context.Context, f flags) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	config.QPS, config.Burst = controllers.ClientQPS, controllers.ClientBurst
	f.options.Clock = controllers.NewClock(config, machineClock())
	if err := awaitServerAlive(ctx, config, f.probeAddress); err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	options, err := managerOptions(config, f, end)
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return err
	}
	executor, err := hooks.NewExecutor(config)
	if err != nil {
		return err
	}
	f.options.Executor = failExecutor(executor)
	if f.options.Restore.Image, err = imageOf(ctx, mgr.GetAPIReader(), f.options.Restore.Image); err != nil {
		return err
	}
	f.options.Namespace = os.Getenv("POD_NAMESPACE")
	if f.options.PolicyClient, err = policyClient(mgr, options.NewClient); err != nil {
		return err
	}
	drain, err := controllers.SetUp(ctx, mgr, f.options)
	if err != nil {
		return err
	}
	if err := probes(mgr); err != nil {
		return err
	}
	err = mgr.Start(ctx)
	// A manager that lost its lease comes back from Start at once: whatever is
	// frozen is still let go before it ends.
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	drain(limit)
	if cause := context.Cause(ctx); errors.Is(cause, errPutBack) {
		err = errors.Join(err, cause)
	}
	return err
}

// policyClient is the policies' own. It has the limits of any client, for itself:
// where thousands of policies are due at once their backups wait to be made, and
// no freeze waits behind them.
func policyClient(mgr ctrl.Manager, newClient client.NewClientFunc) (client.Client, error) {
	if newClient == nil {
		newClient = client.New
	}
	return newClient(mgr.GetConfig(), client.Options{
		Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(), HTTPClient: mgr.GetHTTPClient(),
		Cache: &client.CacheOptions{Reader: mgr.GetCache()},
	})
}

// managerOptions are those of the manager. putBack ends it where the API has forgotten
// what it knows.
func managerOptions(config *rest.Config, f flags, putBack func(error)) (ctrl.Options, error) {
	scheme, err := ourScheme()
	if err != nil {
		return ctrl.Options{}, err
	}
	cached, err := controllers.CacheOptions(config, onlyNamespace())
	if err != nil {
		return ctrl.Options{}, err
	}
	timeout := shutdownTimeout
	options := ctrl.Options{
		Scheme: scheme,
		Metrics: server.Options{
			BindAddress: f.metricsAddress, SecureServing: true, FilterProvider: filters.WithAuthenticationAndAuthorization,
			TLSOpts: []func(*tls.Config){withoutHTTP2},
		},
		HealthProbeBindAddress:        f.probeAddress,
		GracefulShutdownTimeout:       &timeout,
		Cache:                         cached,
		LeaderElection:                f.leaderElect,
		LeaderElectionID:              leaseName,
		LeaderElectionReleaseOnCancel: true,
	}
	failClient(&options)
	if namespace, pod := os.Getenv("POD_NAMESPACE"), os.Getenv("POD_NAME"); f.leaderElect && namespace != "" && pod != "" {
		lock, err := podLock(config, namespace, pod)
		options.LeaderElectionResourceLockInterface = &rememberingLock{Interface: lock, putBack: putBack}
		return options, err
	}
	return options, nil
}

// ourScheme knows the kinds that are read and written.
func ourScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, snapshotv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
}

// withoutHTTP2 keeps a client that opens and resets streams without end
// (CVE-2023-44487) from taking the manager's time: whoever reads metrics needs one.
func withoutHTTP2(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }

// podLock is a lease in the name of this pod. A container that was killed and
// started again in it takes up its own lease at once, without waiting until it
// runs out: there may be something to thaw.
func podLock(config *rest.Config, namespace, pod string) (resourcelock.Interface, error) {
	const renewDeadline = 10 * time.Second // controller-runtime's default
	return resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, namespace, leaseName,
		resourcelock.ResourceLockConfig{Identity: pod}, config, renewDeadline)
}

func probes(mgr ctrl.Manager) error {
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	return mgr.AddReadyzCheck("ping", healthz.Ping)
}

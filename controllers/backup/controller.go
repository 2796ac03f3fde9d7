package backup

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/inuse"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot/cut"
)

// Who reads what, and why, stands in docs/operating.md.
//
// +kubebuilder:rbac:groups=lull.dev,resources=volumebackups,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=lull.dev,resources=volumebackups/status,verbs=patch
// +kubebuilder:rbac:groups=snapshot.storage.k8s.io,resources=volumesnapshots,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=snapshot.storage.k8s.io,resources=volumesnapshotcontents,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=snapshot.storage.k8s.io,resources=volumesnapshotclasses,verbs=get;list
// +kubebuilder:rbac:groups=groupsnapshot.storage.k8s.io,resources=volumegroupsnapshots,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=groupsnapshot.storage.k8s.io,resources=volumegroupsnapshotcontents,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=groupsnapshot.storage.k8s.io,resources=volumegroupsnapshotclasses,verbs=list
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=list
// +kubebuilder:rbac:groups=storage.k8s.io,resources=csidrivers,verbs=get
// +kubebuilder:rbac:groups="",resources=pods/exec,verbs=create;get
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;patch
// +kubebuilder:rbac:groups="",resources=persistentvolumes,verbs=get
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get
// +kubebuilder:rbac:groups="",resources=replicationcontrollers,verbs=get
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;daemonsets,verbs=get
// +kubebuilder:rbac:groups=apps,resources=replicasets,verbs=get;list
// +kubebuilder:rbac:groups=storage.k8s.io,resources=volumeattachments,verbs=list
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// Options are the limits of backups.
type Options struct {
	// NotFoundTimeout is how long a backup waits for an object that isn't
	// there: it may have been applied a moment before its application.
	NotFoundTimeout time.Duration
	// PrepareTimeout is how long a backup waits for what exists and isn't
	// ready: a claim that binds, a pod that starts, a node that lets a volume go.
	PrepareTimeout time.Duration
	// ExclusivityTimeout is how long a backup waits for room at its driver, or for
	// another backup or a restore of the same application.
	ExclusivityTimeout time.Duration
	// CutTimeout is how long an application that isn't frozen may take to be
	// cut.
	CutTimeout time.Duration
	// ReadyTimeout is how long snapshots may take from cut to ready. Some
	// drivers upload first.
	ReadyTimeout time.Duration
	// ExportTimeout is how long exports may take from ready snapshots on, waiting
	// among it.
	ExportTimeout time.Duration
	// MaxSnapshotsInFlight is how many snapshots a driver cuts at once. While
	// others wait a namespace has at most half of them.
	MaxSnapshotsInFlight int
	// SnapshotsPerSecond is how many snapshots of a driver are begun a second at
	// most, over a while; 0 is no limit. Whoever has to wait isn't frozen.
	SnapshotsPerSecond float64
	// Workers is how many backups are worked on at once. Three quarters of them
	// may quiet an application, or wait until they may; of those a namespace has
	// at most half while others wait. As many again thaw what was left frozen.
	Workers int
	// Limits are the longest freeze and the longest post-hook.
	Limits hooks.Limits
	// MinFreezeInterval is the shortest time between two freezes of a pod.
	MinFreezeInterval time.Duration
}

// DefaultOptions are the limits where nobody says otherwise. Ten snapshots at
// once is what the csi-snapshotter's --worker-threads is by default. Three snapshots
// in ten seconds are what the snapshot controllers get done by their defaults, see
// docs/decisions/pace-of-freezes.md. What can't be cut in ten minutes is not cut in an application that isn't frozen either.
func DefaultOptions() Options {
	return Options{
		NotFoundTimeout:      15 * time.Second,
		PrepareTimeout:       time.Minute,
		ExclusivityTimeout:   2 * time.Hour,
		CutTimeout:           10 * time.Minute,
		ReadyTimeout:         24 * time.Hour,
		ExportTimeout:        24 * time.Hour,
		MaxSnapshotsInFlight: 10,
		SnapshotsPerSecond:   0.3,
		Workers:              100,
		Limits:               hooks.Limits{Freeze: 10 * time.Minute, PostHook: 10 * time.Minute},
		MinFreezeInterval:    10 * time.Second,
	}
}

// Reconciler reconciles VolumeBackups.
type Reconciler struct {
	client.Client
	// Live reads past the cache, Cache by it: also what isn't typed.
	Live, Cache client.Reader
	Executor    hooks.Executor
	Movers      *mover.Movers
	// Nodes are asked what they run, where that is allowed.
	Nodes   live.Nodes
	Events  events.EventRecorder
	Clock   clock.PassiveClock
	Options Options
	// IsRush is true while policies make what is due or are late. Default: never.
	IsRush func() bool

	limiter   *limiter
	turns     *attemptTurns
	thaws     *turns
	underWay  underWay
	waiters   *waiters
	snapshots *snapshots
	inUse     *inuse.Finder
	deletions deletions
	lacking   lacking
	groups    groupAPI
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if r.IsRush == nil {
		r.IsRush = func() bool { return false }
	}
	r.limiter = newLimiter(r.Options, r.Clock.Now)
	// Those that may be under way, or wait for a driver, hold a worker each, and
	// must not hold all.
	r.turns = newAttemptTurns(r.Options.Workers*3/4, r.IsRush, r.Clock.Now)
	r.waiters = newWaiters()
	successes.askOf(r.Cache)
	var err error
	if r.inUse, err = inuse.NewFinder(ctx, r.Live, r.Nodes, r.Clock, mgr.GetCache()); err != nil {
		return err
	}
	r.groups = groupAPI{live: r.Live, cache: r.Cache}
	if err := r.groups.discover(ctx, mgr.GetRESTMapper()); err != nil {
		return err
	}
	if err := r.setUpThaws(mgr); err != nil {
		return err
	}
	loop := r.loop()
	loop.AtRest, loop.Steps, loop.Seen = r.isAtRest, r.steps, r.seen
	snapshots, contents, err := r.watchSnapshots(mgr)
	if err != nil {
		return err
	}
	building := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.VolumeBackup{}, builder.WithPredicates(unlessEndedBefore)).
		WatchesRawSource(source.Func(r.wakes)).
		Watches(&v1alpha1.VolumeBackup{}, r.waiters.onDeletion(noteEndedBefore)).
		WatchesRawSource(snapshots).
		WatchesRawSource(contents).
		Owns(&batchv1.Job{})
	if r.groups.served() {
		building = building.
			Watches(r.groups.object(kindGroup), r.waiters.onChange(handler.EnqueueRequestsFromMapFunc(backupOf))).
			Watches(r.groups.object(kindGroupContent), r.waiters.onChange(handler.Funcs{}))
	}
	return building.WithOptions(reconcile.Options("VolumeBackup", r.Options.Workers)).Complete(loop)
}

// loop is what the controllers of backups and of thaws have in common.
func (r *Reconciler) loop() *reconcile.Loop[*v1alpha1.VolumeBackup] {
	return &reconcile.Loop[*v1alpha1.VolumeBackup]{
		Client: r.Client, Live: r.Live, Events: r.Events, Clock: r.Clock,
		New:       func() *v1alpha1.VolumeBackup { return &v1alpha1.VolumeBackup{} },
		Stalled:   r.stalled,
		Summarize: summarize,
	}
}

// steps are those of a backup. Whatever else it needs, what may be frozen is
// thawed first.
func (r *Reconciler) steps(on *reconcile.Scope[*v1alpha1.VolumeBackup]) []reconcile.Step {
	w := &run{VolumeBackup: on.Object, Scope: on, Reconciler: r}
	return []reconcile.Step{
		{Name: "LeaveAlone", Take: w.leaveAlone},
		{Name: "AwaitThaw", Take: w.awaitThaw},
		{Name: "Delete", Take: w.delete},
		{Name: "Mark", Take: w.mark},
		{Name: "NoteLosses", Take: w.noteLosses},
		{Name: "Begin", Take: w.begin},
		{Name: "DiscardOrphans", Take: w.discardOrphans},
		{Name: "Attempt", Take: w.attempt},
		{Name: "AwaitReady", Take: w.awaitReady},
		{Name: "Verify", Take: w.verify},
		{Name: "Export", Take: w.export},
		{Name: "GiveUp", Take: w.giveUp},
	}
}

// wakes has whose turn it is come to the controller's queue. Attempts begin once what
// they may leave frozen can be thawed.
func (r *Reconciler) wakes(ctx context.Context, q queue) error {
	r.turns.wakeBy(q)
	r.limiter.freezes.since = r.Clock.Now() // it may have waited for the lease until now
	select {
	case <-r.thaws.canWake:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// isAtRest is true for a backup that has ended, with its finalizer, nothing left of
// attempts that failed and nothing lost, and for one that is woken when its turn has come.
func (r *Reconciler) isAtRest(ctx context.Context, b *v1alpha1.VolumeBackup) bool {
	if !b.DeletionTimestamp.IsZero() {
		return false
	}
	if !cut.Ended(b) {
		return r.turns.waits(b) && r.exclusivityLeft(b) > 0 || r.turns.yields(b)
	}
	orphans, err := r.orphansOf(ctx, b)
	return err == nil && len(orphans) == 0 && !lacksFinalizer(b) && !r.snapshots.losses.isSuspect(client.ObjectKeyFromObject(b))
}

// stalled ends a backup that only a person can help: by another one. What may be
// frozen is thawed before, also where there was no room to write that it is.
func (r *Reconciler) stalled(on *reconcile.Scope[*v1alpha1.VolumeBackup], p *v1alpha1.Problem) reconcile.Outcome {
	w := &run{VolumeBackup: on.Object, Scope: on, Reconciler: r}
	if p.Reason == v1alpha1.ReasonLimitExceeded && cut.Open(w.Status.Quiesce) {
		w.Record(eventFailed(p.Message))
		return reconcile.Wait(unwrittenThawDelay).Unsaved()
	}
	return w.fail(p.Reason, p.Message)
}

// begin marks a new backup as ours, before anything is made for it.
func (w *run) begin(ctx context.Context) reconcile.Outcome {
	if cut.Ended(w.VolumeBackup) {
		return reconcile.Skip()
	}
	if p, err := w.takenBefore(ctx); err != nil {
		return reconcile.Retry(err)
	} else if p != nil {
		w.markStarted()
		return reconcile.Stall(p)
	}
	if err := w.Begin(ctx, v1alpha1.FinalizerVolumeBackup); err != nil {
		return reconcile.Retry(err)
	}
	if w.Status.StartTime == nil {
		w.markStarted()
	}
	return reconcile.Skip()
}

// giveUp ends a backup whose attempts are used up.
func (w *run) giveUp(context.Context) reconcile.Outcome {
	if w.next() != cut.StepGiveUp {
		return reconcile.Skip()
	}
	return reconcile.Stall(v1alpha1.Problemf(v1alpha1.ReasonQuiesceFailed, "after %d attempt(s): %s", w.Status.Quiesce.Attempt, w.Status.Quiesce.Failure))
}

// Drain waits until no application is being quieted, or ctx ends. A manager
// that stops has released its sessions then.
func (r *Reconciler) Drain(ctx context.Context) { r.underWay.drain(ctx) }

// seen is told of each backup as it is, and of each that is gone.
func (r *Reconciler) seen(key types.NamespacedName, b *v1alpha1.VolumeBackup) {
	noteMetrics(key, b)
	r.snapshots.settle(key, b)
	if b.Name == "" {
		r.deletions.end(key)
	}
	if b.Name == "" || !b.DeletionTimestamp.IsZero() || cut.Ended(b) {
		r.turns.forget(key)
	}
	r.turns.settle(key)
}

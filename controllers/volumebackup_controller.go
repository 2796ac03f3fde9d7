package controllers

import (
	"context"
	"errors"
	"sync"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot"
)

// Who reads what, and why, stands in docs/operating.md.
//
// +kubebuilder:rbac:groups=lull.dev,resources=volumebackups,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=lull.dev,resources=volumebackups/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=lull.dev,resources=volumebackups/finalizers,verbs=update
// +kubebuilder:rbac:groups=snapshot.storage.k8s.io,resources=volumesnapshots,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=snapshot.storage.k8s.io,resources=volumesnapshotcontents,verbs=get;list;watch
// +kubebuilder:rbac:groups=snapshot.storage.k8s.io,resources=volumesnapshotclasses,verbs=get;list
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list
// +kubebuilder:rbac:groups="",resources=pods/exec,verbs=create;get
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list
// +kubebuilder:rbac:groups="",resources=persistentvolumes,verbs=get
// +kubebuilder:rbac:groups="",resources=replicationcontrollers,verbs=get
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;daemonsets,verbs=get
// +kubebuilder:rbac:groups=apps,resources=replicasets,verbs=get;list
// +kubebuilder:rbac:groups=storage.k8s.io,resources=volumeattachments,verbs=list
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// Options are the limits of the controllers.
type Options struct {
	// NotFoundTimeout is how long a backup waits for an object that isn't
	// there: it may have been applied a moment before its application.
	NotFoundTimeout time.Duration
	// PrepareTimeout is how long a backup waits for what exists and isn't
	// ready: a claim that binds, a pod that starts.
	PrepareTimeout time.Duration
	// TurnTimeout is how long a backup waits for room at its driver, or for
	// another backup or a restore of the same application.
	TurnTimeout time.Duration
	// CutTimeout is how long an application that isn't frozen may take to be
	// cut.
	CutTimeout time.Duration
	// ReadyTimeout is how long snapshots may take from cut to ready. Some
	// drivers upload first.
	ReadyTimeout time.Duration
	// MaxSnapshotsInFlight is how many snapshots a driver cuts at once.
	MaxSnapshotsInFlight int
	// Workers is how many backups are worked on at once. Three quarters of them
	// may quiet an application, or wait until they may.
	Workers int
}

// DefaultOptions are the limits where nobody says otherwise. Ten snapshots at
// once is what the csi-snapshotter's --worker-threads is by default.
func DefaultOptions() Options {
	return Options{
		NotFoundTimeout:      15 * time.Second,
		PrepareTimeout:       time.Minute,
		TurnTimeout:          2 * time.Hour,
		CutTimeout:           10 * time.Minute,
		ReadyTimeout:         24 * time.Hour,
		MaxSnapshotsInFlight: 10,
		Workers:              100,
	}
}

// VolumeBackupReconciler reconciles VolumeBackups.
type VolumeBackupReconciler struct {
	client.Client
	// Live reads past the cache.
	Live     client.Reader
	Cache    cache.Cache
	Executor hooks.Executor
	Events   events.EventRecorder
	Clock    clock.PassiveClock
	Options  Options

	room     *room
	attempts sync.WaitGroup
	// groups is the version of snapshots of groups, empty where the cluster
	// served none when this manager started.
	groups string
}

// CacheOptions are what the reconcilers need of a manager's cache: of all
// snapshots in a cluster only ours are kept, of what only tells that there is
// something to read no more than that, and of no object who wrote which field.
func CacheOptions() cache.Options {
	options := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{
			&snapshotv1.VolumeSnapshot{}: {Label: labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})},
		},
	}
	for _, kind := range wakingKinds() {
		options.ByObject[kind] = cache.ByObject{Transform: onlyIdentity}
	}
	return options
}

// SetupWithManager registers the reconciler.
func (r *VolumeBackupReconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	r.room = newRoom(int64(r.Options.MaxSnapshotsInFlight), r.Options.Workers)
	if err := r.findGroups(ctx, mgr.GetRESTMapper()); err != nil {
		return err
	}
	building := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.VolumeBackup{}).
		Watches(&snapshotv1.VolumeSnapshot{}, handler.EnqueueRequestsFromMapFunc(r.backupOf)).
		// Nothing follows from a content but in an attempt, whose deadline runs
		// already: the cache has them all before the first one begins.
		Watches(&snapshotv1.VolumeSnapshotContent{}, handler.Funcs{})
	if r.groups != "" {
		building = building.
			Watches(r.groupObject(kindGroup), handler.EnqueueRequestsFromMapFunc(r.backupOf)).
			Watches(r.groupObject(kindGroupContent), handler.Funcs{})
	}
	return building.WithOptions(controller.Options{MaxConcurrentReconciles: r.Options.Workers, RateLimiter: retries()}).Complete(r)
}

// Drain waits until no application is being quieted, or ctx ends. A manager
// that stops has released its sessions then.
func (r *VolumeBackupReconciler) Drain(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		r.attempts.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// backupOf finds the backup of a snapshot by its annotation: names can be
// longer than labels.
func (r *VolumeBackupReconciler) backupOf(_ context.Context, snap client.Object) []ctrl.Request {
	name := snap.GetAnnotations()[annotationBackup]
	if name == "" || snap.GetLabels()[v1alpha1.LabelBackupUID] == "" {
		return nil
	}
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: snap.GetNamespace(), Name: name}}}
}

// Reconcile brings one backup a step further. A backup that isn't at its end
// is read past the cache: an old copy could show an attempt as open that is
// closed, and a good snapshot would be discarded.
func (r *VolumeBackupReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	b := &v1alpha1.VolumeBackup{}
	if err := r.Get(ctx, req.NamespacedName, b); err != nil {
		frozenNow.note(req.NamespacedName, nil)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	defer func() { frozenNow.note(req.NamespacedName, b.Status.Quiesce) }()
	if isTrue(b, v1alpha1.ConditionComplete) {
		successes.note(b.Namespace, b.Status.CompletionTime)
	}
	if !snapshot.Ended(b) || !b.DeletionTimestamp.IsZero() {
		if err := r.Live.Get(ctx, req.NamespacedName, b); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	s := newBackupScope(b)
	for {
		out := r.step(ctx, s)
		if out.goOn {
			continue
		}
		if out.err == nil {
			out.err = client.IgnoreNotFound(r.save(ctx, s))
		}
		if err := ignoreConflict(out.err, &out.result); err != nil {
			return ctrl.Result{}, errors.Join(err, r.tellError(ctx, s, err))
		}
		if s.lookAgain > 0 && (out.result.RequeueAfter == 0 || out.result.RequeueAfter > s.lookAgain) {
			out.result.RequeueAfter = s.lookAgain
		}
		return out.result, nil
	}
}

// tellError writes what stands in the way onto the object, as it was last
// written: what the failed step had in mind doesn't count. It is told once: each
// write brings the object here again, and would end the back-off.
func (r *VolumeBackupReconciler) tellError(ctx context.Context, s *backupScope, obstacle error) error {
	said := meta.FindStatusCondition(s.written.Status.Conditions, v1alpha1.ConditionReconciling)
	if snapshot.Ended(s.written) || (said != nil && said.Reason == v1alpha1.ReasonAPIError) {
		return nil
	}
	told := newBackupScope(s.written.DeepCopy())
	working(told.VolumeBackup, v1alpha1.ReasonAPIError, "tries again after an error: %.1024v", obstacle)
	return ignoreStale(r.save(ctx, told))
}

// ignoreConflict turns a conflict into another look: somebody has written the
// object, and what they wrote may change what is to be done.
func ignoreConflict(err error, result *ctrl.Result) error {
	if !isConflict(err) {
		return err
	}
	result.RequeueAfter = 10 * time.Millisecond
	return nil
}

// ignoreStale: the object has been written or deleted meanwhile, and what was to
// be told of it is of no interest any more.
func ignoreStale(err error) error {
	if isConflict(err) {
		return nil
	}
	return client.IgnoreNotFound(err)
}

func (r *VolumeBackupReconciler) step(ctx context.Context, s *backupScope) outcome {
	if !s.DeletionTimestamp.IsZero() {
		return r.delete(ctx, s)
	}
	if err := r.begin(ctx, s); err != nil {
		return again(err)
	}
	if err := r.discardStrays(ctx, s); err != nil {
		return again(err)
	}
	switch snapshot.Next(s.VolumeBackup, r.lastOnFailure(s)) {
	case snapshot.StepRecover:
		return r.recover(ctx, s)
	case snapshot.StepAttempt:
		return r.attempt(ctx, s, false)
	case snapshot.StepAttemptUnquieted:
		return r.attempt(ctx, s, true)
	case snapshot.StepAwaitReady:
		return r.awaitReady(ctx, s)
	case snapshot.StepGiveUp:
		return r.fail(ctx, s, v1alpha1.ReasonQuiesceFailed, giveUpMessage(s.VolumeBackup))
	}
	return rest()
}

// begin marks a new backup as ours, before anything is made for it.
func (r *VolumeBackupReconciler) begin(ctx context.Context, s *backupScope) error {
	if snapshot.Ended(s.VolumeBackup) {
		return nil
	}
	if !controllerutil.ContainsFinalizer(s.VolumeBackup, v1alpha1.FinalizerVolumeBackup) {
		base := s.DeepCopy()
		controllerutil.AddFinalizer(s.VolumeBackup, v1alpha1.FinalizerVolumeBackup)
		if err := r.Patch(ctx, s.VolumeBackup, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
			return err
		}
		s.written = s.DeepCopy()
	}
	if s.Status.StartTime == nil {
		now := metav1.NewTime(r.Clock.Now())
		s.Status.StartTime = &now
		working(s.VolumeBackup, v1alpha1.ReasonPreparing, "looks for the application, its volumes and its hooks")
	}
	return nil
}

// lastOnFailure is what the owner asked for, as the newest attempt recorded.
func (r *VolumeBackupReconciler) lastOnFailure(s *backupScope) v1alpha1.OnFailure {
	if s.Status.Quiesce == nil {
		return v1alpha1.OnFailureFail
	}
	return s.Status.Quiesce.OnFailure
}

func problemOf(err error) *v1alpha1.Problem {
	var p *v1alpha1.Problem
	if errors.As(err, &p) {
		return p
	}
	return nil
}

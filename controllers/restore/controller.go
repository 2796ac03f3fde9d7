package restore

import (
	"context"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/restore"
)

// Who reads and changes what, and why, stands in docs/operating.md.
//
// +kubebuilder:rbac:groups=lull.dev,resources=volumerestores,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=lull.dev,resources=volumerestores/status,verbs=patch
// +kubebuilder:rbac:groups=lull.dev,resources=volumerestores/finalizers,verbs=update
// +kubebuilder:rbac:groups=lull.dev,resources=volumebackups,verbs=get;list;patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;create;delete;patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=persistentvolumes,verbs=get;list;patch
// +kubebuilder:rbac:groups="",resources=events,verbs=list
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;replicasets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=apps,resources=daemonsets,verbs=list
// +kubebuilder:rbac:groups=batch,resources=jobs;cronjobs,verbs=list
// +kubebuilder:rbac:groups="",resources=replicationcontrollers,verbs=list
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=list
// +kubebuilder:rbac:groups=storage.k8s.io,resources=storageclasses,verbs=list

// Options are the limits of restores.
type Options struct {
	// NotFoundTimeout is how long a restore waits for what isn't there, or
	// isn't fit, and may soon be.
	NotFoundTimeout time.Duration
	// ClaimTimeout is how long new claims may take to bind and mount. The
	// application runs meanwhile; some drivers copy all the data.
	ClaimTimeout time.Duration
	// FillTimeout is how long they may take to be filled by movers, waiting
	// among it. The application runs meanwhile.
	FillTimeout time.Duration
	// ExclusivityTimeout is how long a restore waits for another of the same
	// application.
	ExclusivityTimeout time.Duration
	// Image of the mount check pods: the operator's own.
	Image string
	// MountCheckResources are what they ask for, before it is fitted to the
	// LimitRanges of their namespace.
	MountCheckResources corev1.ResourceRequirements
	// MaxKeptVolumes is how many volumes restores may keep in a namespace. 0 is no
	// bound.
	MaxKeptVolumes int
	// Workers is how many restores are worked on at once.
	Workers int
}

// DefaultOptions are the limits where nobody says otherwise.
func DefaultOptions() Options {
	return Options{
		NotFoundTimeout:    15 * time.Second,
		ClaimTimeout:       30 * time.Minute,
		FillTimeout:        24 * time.Hour,
		ExclusivityTimeout: 2 * time.Hour,
		Workers:            20,

		MountCheckResources: restore.MountCheckResources(),
	}
}

// lookEvery bounds a wait that a watch should end earlier.
const lookEvery = 2 * time.Second

// Reconciler reconciles VolumeRestores.
type Reconciler struct {
	client.Client
	// Live reads past the cache.
	Live    client.Reader
	Movers  *mover.Movers
	Events  events.EventRecorder
	Clock   clock.PassiveClock
	Options Options

	// exclusive is held while it is decided which restore works on an application.
	exclusive sync.Mutex
	// failing are the restores whose step has failed last, by their names: a
	// failure each.
	failing sync.Map
	// stops are the applications that were seen stopped, by the names of their
	// restores. Without them pods are read once more, and the application is
	// down for a tenth of a second longer.
	stops sync.Map
}

// SetupWithManager registers the reconciler. Of what a restore waits for only
// the metadata is watched: it tells that there is something to read.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	wake := handler.EnqueueRequestsFromMapFunc(r.underWay)
	b := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.VolumeRestore{}).
		Watches(&v1alpha1.VolumeRestore{}, wake).
		Owns(&batchv1.Job{}).
		WithOptions(reconcile.Options("VolumeRestore", r.Options.Workers))
	for _, kind := range wakingKinds() {
		b = b.Watches(kind, wake, builder.OnlyMetadata)
	}
	return b.Complete(r)
}

// wakingKinds are what a restore waits for. Of them only the metadata is
// watched.
func wakingKinds() []client.Object {
	return []client.Object{&corev1.Pod{}, &corev1.PersistentVolumeClaim{}, &appsv1.Deployment{}, &appsv1.StatefulSet{}, &appsv1.ReplicaSet{}}
}

// OnlyProgress is the transform of a cache that keeps of a restore how far it has come
// and what it is of, without what may be long. Whatever is done about it is read past
// the cache.
func OnlyProgress(obj any) (any, error) {
	v, ok := obj.(*v1alpha1.VolumeRestore)
	if !ok {
		return obj, nil
	}
	live.ShortenRestore(v)
	v.Spec.Source.Paths, v.Spec.Target.Claims, v.Spec.Volumes = nil, nil, v1alpha1.VolumeSelection{}
	return v, nil
}

// OnlyIdentity is the transform of a cache that keeps of an object's metadata
// what tells that it has changed: the cluster may have tens of thousands.
func OnlyIdentity(obj any) (any, error) {
	if m, ok := obj.(*metav1.PartialObjectMetadata); ok {
		m.ObjectMeta = metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion}
	}
	return obj, nil
}

// underWay are the restores of an object's namespace that aren't at their end, or
// have left their application stopped.
func (r *Reconciler) underWay(ctx context.Context, obj client.Object) []ctrl.Request {
	var all v1alpha1.VolumeRestoreList
	if err := r.List(ctx, &all, client.InNamespace(obj.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
		return nil // the cache isn't there: every restore comes again when it is
	}
	var found []ctrl.Request
	for i := range all.Items {
		if v := &all.Items[i]; v.UID != obj.GetUID() && (!restore.Ended(v) || restore.IsLeftStopped(v)) {
			found = append(found, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(v)})
		}
	}
	return found
}

// Reconcile brings one restore on for as long as nothing has to be waited for.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	loop := reconcile.Loop[*v1alpha1.VolumeRestore]{
		Client: r.Client, Live: r.Live, Events: r.Events, Clock: r.Clock,
		New:       func() *v1alpha1.VolumeRestore { return &v1alpha1.VolumeRestore{} },
		AtRest:    isAtRest,
		Steps:     r.steps,
		Stalled:   r.stalled,
		Summarize: summarize,
		Seen:      r.seen,
	}
	return loop.Reconcile(ctx, req)
}

// steps are those of every restore. All that is done to the application, and
// undone, is in the last: the steps of its plan (snapshot/restore).
func (r *Reconciler) steps(s *scope) []reconcile.Step {
	w := &run{Reconciler: r, scope: s, made: map[string]bool{}}
	return []reconcile.Step{
		{Name: "LeaveAlone", Take: w.leaveAlone},
		{Name: "Delete", Take: w.delete},
		{Name: "Withdraw", Take: w.withdraw},
		{Name: "RollBack", Take: w.rollBackAsAsked},
		{Name: "ReleasePrevious", Take: w.releasePrevious},
		{Name: "Rest", Take: w.rest},
		{Name: "Begin", Take: w.begin},
		{Name: "Find", Take: w.find},
		{Name: "Resolve", Take: w.resolve},
		{Name: "EndMovers", Take: w.endMovers},
		{Name: "Proceed", Take: w.proceed},
	}
}

// stalled is what becomes of a restore that only a person can help.
func (r *Reconciler) stalled(s *scope, p *v1alpha1.Problem) reconcile.Outcome {
	if s.Object.Status.Strategy == "" {
		return r.notResolved(s, p)
	}
	return giveUp(s, p)
}

// seen forgets the failures of a restore that is gone, and the application of
// one that has ended.
func (r *Reconciler) seen(key types.NamespacedName, v *v1alpha1.VolumeRestore) {
	downNow.note(key, v)
	if v.UID == "" {
		r.failing.Delete(key)
	}
	if v.UID == "" || restore.Ended(v) {
		r.stops.Delete(key)
	}
}

// isAtRest is true for a restore that has ended, with nothing asked that isn't
// answered.
func isAtRest(_ context.Context, v *v1alpha1.VolumeRestore) bool {
	answered := v.Status.ObservedGeneration == v.Generation && !isTrue(v, v1alpha1.ConditionReconciling) && !isWithdrawn(v) && !isReleaseWithdrawn(v) && refusalDue(v) == nil
	isAsked := restore.IsRollBackAsked(v) || restore.IsReleaseAsked(v)
	return restore.Ended(v) && v.DeletionTimestamp.IsZero() && !isAsked && answered && !restore.IsLeftStopped(v)
}

// leaveAlone ends a restore that Velero has put back.
func (w *run) leaveAlone(ctx context.Context) reconcile.Outcome {
	by := v1alpha1.PutBackBy(w.Object, w.Object.Status.StartTime)
	out := w.LeaveAlone(ctx, by, v1alpha1.FinalizerVolumeRestore, restore.Ended(w.Object))
	if restore.Ended(w.Object) && w.Object.Status.CompletionTime == nil {
		w.Object.Status.CompletionTime = &metav1.Time{Time: w.Now()}
	}
	return out
}

// delete lets a restore go once it is at its end; until then it is undone
// first. What it keeps stays kept.
func (w *run) delete(ctx context.Context) reconcile.Outcome {
	v := w.Object
	switch {
	case v.DeletionTimestamp.IsZero():
		return reconcile.Skip()
	case !controllerutil.ContainsFinalizer(v, v1alpha1.FinalizerVolumeRestore):
		return reconcile.Done()
	case v.Status.Strategy == "" || restore.Ended(v):
		if err := w.Release(ctx, v1alpha1.FinalizerVolumeRestore); err != nil {
			return reconcile.Retry(err)
		}
		return reconcile.Done()
	case v.Status.RollBack == nil:
		return rollBack(w.scope, v1alpha1.ReasonDeleting, "it was deleted before it was complete")
	}
	return reconcile.Skip()
}

// begin marks a new restore as ours, before anything is made for it.
func (w *run) begin(ctx context.Context) reconcile.Outcome {
	v := w.Object
	if v.DeletionTimestamp.IsZero() {
		if err := w.Begin(ctx, v1alpha1.FinalizerVolumeRestore); err != nil {
			return reconcile.Retry(err)
		}
	}
	if v.Status.StartTime == nil {
		v.Status.StartTime = &metav1.Time{Time: w.Now()}
		w.Working(v1alpha1.ReasonPreparing, "looks for the backup, the application and its claims")
	}
	return reconcile.Skip()
}

package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// Who reads and changes what, and why, stands in docs/operating.md.
//
// +kubebuilder:rbac:groups=lull.dev,resources=volumerestores,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=lull.dev,resources=volumerestores/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=lull.dev,resources=volumerestores/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=persistentvolumes,verbs=get;patch
// +kubebuilder:rbac:groups="",resources=events,verbs=list
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;replicasets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=list
// +kubebuilder:rbac:groups=storage.k8s.io,resources=storageclasses,verbs=list

// RestoreOptions are the limits of restores.
type RestoreOptions struct {
	// NotFoundTimeout is how long a restore waits for what isn't there, or
	// isn't fit, and may soon be.
	NotFoundTimeout time.Duration
	// ClaimTimeout is how long new claims may take to bind and mount. The
	// application runs meanwhile; some drivers copy all the data.
	ClaimTimeout time.Duration
	// TurnTimeout is how long a restore waits for another of the same
	// application.
	TurnTimeout time.Duration
	// Image of the pods that prove claims: the operator's own.
	Image string
	// Workers is how many restores are worked on at once.
	Workers int
}

// DefaultRestoreOptions are the limits where nobody says otherwise.
func DefaultRestoreOptions() RestoreOptions {
	return RestoreOptions{
		NotFoundTimeout: 15 * time.Second,
		ClaimTimeout:    30 * time.Minute,
		TurnTimeout:     2 * time.Hour,
		Workers:         20,
	}
}

// maxRepeats bounds how often one reconcile takes the same step in a row: what
// was done may need a moment to show, or somebody undoes it each time.
const maxRepeats = 5

// VolumeRestoreReconciler reconciles VolumeRestores.
type VolumeRestoreReconciler struct {
	client.Client
	// Live reads past the cache.
	Live    client.Reader
	Events  events.EventRecorder
	Clock   clock.PassiveClock
	Options RestoreOptions

	// turn is held while it is decided whose turn it is.
	turn sync.Mutex
	// failing are the restores whose step has failed last, by their UIDs: a
	// failure each.
	failing sync.Map
}

// SetupWithManager registers the reconciler. Of what a restore waits for only
// the metadata is watched: it tells that there is something to read.
func (r *VolumeRestoreReconciler) SetupWithManager(mgr ctrl.Manager) error {
	wake := handler.EnqueueRequestsFromMapFunc(r.underWay)
	b := ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.VolumeRestore{}).
		Watches(&v1alpha1.VolumeRestore{}, wake).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Options.Workers, RateLimiter: retries()})
	for _, kind := range wakingKinds() {
		b = b.Watches(kind, wake, builder.OnlyMetadata)
	}
	return b.Complete(r)
}

// wakingKinds are what a restore waits for.
func wakingKinds() []client.Object {
	return []client.Object{&corev1.Pod{}, &corev1.PersistentVolumeClaim{}, &appsv1.Deployment{}, &appsv1.StatefulSet{}, &appsv1.ReplicaSet{}}
}

// onlyIdentity is what is kept of an object that is watched: the cluster may
// have tens of thousands.
func onlyIdentity(obj any) (any, error) {
	if m, ok := obj.(*metav1.PartialObjectMetadata); ok {
		m.ObjectMeta = metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion}
	}
	return obj, nil
}

// underWay are the restores of an object's namespace that aren't at their end.
func (r *VolumeRestoreReconciler) underWay(ctx context.Context, obj client.Object) []ctrl.Request {
	var all v1alpha1.VolumeRestoreList
	if err := r.List(ctx, &all, client.InNamespace(obj.GetNamespace())); err != nil {
		return nil // the cache isn't there: every restore comes again when it is
	}
	var found []ctrl.Request
	for i := range all.Items {
		if v := &all.Items[i]; v.UID != obj.GetUID() && !snapshot.RestoreEnded(v) {
			found = append(found, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(v)})
		}
	}
	return found
}

// Reconcile brings one restore a step further, and on as long as nothing has
// to be waited for. It reads past the cache: an old copy could show a step as
// not begun that is.
func (r *VolumeRestoreReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	v := &v1alpha1.VolumeRestore{}
	if err := r.Live.Get(ctx, req.NamespacedName, v); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	s := newRestoreScope(v)
	last, repeats := "", 0
	for {
		out := r.step(ctx, s)
		if s.Status.Step != last {
			last, repeats = s.Status.Step, 0
		}
		if repeats++; out.goOn && repeats <= maxRepeats {
			continue
		} else if out.goOn {
			out = waitFor(time.Second)
		}
		if out.err == nil {
			out.err = client.IgnoreNotFound(r.save(ctx, s))
		}
		if err := ignoreConflict(out.err, &out.result); err != nil {
			return ctrl.Result{}, errors.Join(err, r.tellError(ctx, s, err))
		}
		return out.result, nil
	}
}

// tellError writes what stands in the way onto the object, as it was last
// written: what the failed step had in mind doesn't count. It is told once a
// step: each write brings the object here again, and would end the back-off.
func (r *VolumeRestoreReconciler) tellError(ctx context.Context, s *restoreScope, obstacle error) error {
	said := meta.FindStatusCondition(s.written.Status.Conditions, v1alpha1.ConditionReconciling)
	if snapshot.RestoreEnded(s.written) || said != nil && said.Reason == v1alpha1.ReasonAPIError {
		return nil
	}
	what := ""
	if said != nil {
		what = said.Message + "; "
	}
	told := newRestoreScope(s.written.DeepCopy())
	told.working(r.Clock, v1alpha1.ReasonAPIError, "%stries again after an error: %.1024v", what, obstacle)
	return ignoreStale(r.save(ctx, told))
}

func (r *VolumeRestoreReconciler) step(ctx context.Context, s *restoreScope) outcome {
	if !s.DeletionTimestamp.IsZero() {
		if out, ended := r.delete(ctx, s); ended {
			return out
		}
	}
	r.withdraw(s)
	if asked(s.VolumeRestore) {
		return r.rollBackAsAsked(ctx, s)
	}
	if snapshot.RestoreEnded(s.VolumeRestore) {
		return r.refuseRollBack(ctx, s)
	}
	if err := r.begin(ctx, s); err != nil {
		return again(err)
	}
	if s.Status.Strategy == "" && s.Status.RollBack == nil {
		return r.resolve(ctx, s)
	}
	o, err := r.observe(ctx, s)
	if err != nil {
		return again(err)
	}
	if message := lostApplication(s.VolumeRestore, o); message != "" {
		return r.giveUp(ctx, s, v1alpha1.ReasonApplicationNotFound, message)
	}
	if message := snapshot.LostClaims(s.VolumeRestore, o); message != "" {
		return r.giveUp(ctx, s, v1alpha1.ReasonClaimNotFound, message)
	}
	if message := snapshot.LostMounts(s.VolumeRestore, o); message != "" {
		return r.giveUp(ctx, s, v1alpha1.ReasonClaimNotMounted, message)
	}
	next := snapshot.NextRestoreStep(s.VolumeRestore, o)
	if next.Step == snapshot.StepScaleDown && s.Status.ScaledDownAt == nil {
		if err := snapshot.CheckSwap(s.VolumeRestore, o); err != nil {
			return r.notReplaceable(ctx, s, err)
		}
		if err := r.rehearse(ctx, s, o); err != nil {
			step := s.Status.Step
			return r.bounded(ctx, s, step, o, r.stuck(ctx, s, err))
		}
	}
	if out, waits := r.awaitBackup(ctx, s, next.Step); waits {
		return out
	}
	if err := r.intend(ctx, s, next, o); err != nil {
		return again(err)
	}
	return r.bounded(ctx, s, string(next.Step), o, r.take(ctx, s, next.Step, o))
}

// lostApplication says so where the application that is restored is gone. Its
// claims are given back all the same.
func lostApplication(v *v1alpha1.VolumeRestore, o snapshot.RestoreObserved) string {
	if v.Status.ApplicationUID == "" || v.Status.RollBack != nil {
		return ""
	}
	if o.Workload == nil || o.Workload.Meta.UID != v.Status.ApplicationUID {
		return fmt.Sprintf("%s %s was deleted while it was restored", v.Status.Application.Kind, v.Status.Application.Name)
	}
	return ""
}

// begin marks a new restore as ours, before anything is made for it.
func (r *VolumeRestoreReconciler) begin(ctx context.Context, s *restoreScope) error {
	if s.DeletionTimestamp.IsZero() && !controllerutil.ContainsFinalizer(s.VolumeRestore, v1alpha1.FinalizerVolumeRestore) {
		status := s.Status
		base := s.DeepCopy()
		controllerutil.AddFinalizer(s.VolumeRestore, v1alpha1.FinalizerVolumeRestore)
		if err := r.Patch(ctx, s.VolumeRestore, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
			return err
		}
		s.written = s.DeepCopy()
		s.Status = status
	}
	if s.Status.StartTime == nil {
		now := metav1.NewTime(r.Clock.Now())
		s.Status.StartTime = &now
		s.working(r.Clock, v1alpha1.ReasonPreparing, "looks for the backup, the application and its claims")
	}
	return nil
}

// intend writes the step into the status before it is taken, above all how
// many replicas the application had.
func (r *VolumeRestoreReconciler) intend(ctx context.Context, s *restoreScope, next snapshot.PlannedStep, o snapshot.RestoreObserved) error {
	if s.Status.Step == string(next.Step) {
		return nil
	}
	now := microTime(r.Clock.Now())
	s.Status.Step, s.Status.StepSince = string(next.Step), now
	switch next.Step {
	case snapshot.StepProveClaims:
		s.set(r.Clock, v1alpha1.ConditionClaimsReady, false, v1alpha1.ReasonNotProven, "%s", next.What)
	case snapshot.StepScaleDown:
		r.intendScaleDown(s, o, now)
	case snapshot.StepSwap, snapshot.StepSwapBack:
		s.set(r.Clock, v1alpha1.ConditionScaledDown, true, v1alpha1.ReasonPodsGone, "all pods of the application are gone")
		s.set(r.Clock, v1alpha1.ConditionSwapped, false, v1alpha1.ReasonSwapping, "%s", next.What)
	case snapshot.StepScaleUp:
		if s.Status.RollBack != nil {
			s.Status.RollBack.ScaledUpAt = now
		} else {
			s.Status.ScaledUpAt = now
		}
		s.set(r.Clock, v1alpha1.ConditionApplicationReady, false, v1alpha1.ReasonScalingUp, "%s", next.What)
	}
	s.working(r.Clock, string(next.Step), "%s", next.What)
	return r.save(ctx, s)
}

func (r *VolumeRestoreReconciler) intendScaleDown(s *restoreScope, o snapshot.RestoreObserved, now *metav1.MicroTime) {
	if s.Status.Replicas == nil && o.Workload != nil {
		w := o.Workload
		s.Status.Replicas, s.Status.Paused, s.Status.WasReady = &w.Replicas, w.Paused, w.Unready == ""
	}
	if s.Status.RollBack != nil {
		s.Status.RollBack.ScaledDownAt = now
	} else if s.Status.ScaledDownAt == nil {
		s.Status.ScaledDownAt = now
	}
	s.set(r.Clock, v1alpha1.ConditionScaledDown, false, v1alpha1.ReasonScalingDown, "the application is told to stop")
	s.set(r.Clock, v1alpha1.ConditionApplicationReady, false, v1alpha1.ReasonScalingDown, "the application is told to stop")
}

// take takes one step of the plan.
func (r *VolumeRestoreReconciler) take(ctx context.Context, s *restoreScope, step snapshot.RestoreStep, o snapshot.RestoreObserved) outcome {
	switch step {
	case snapshot.StepMakeClaims:
		return r.makeClaims(ctx, s)
	case snapshot.StepProveClaims:
		return r.prove(ctx, s, o)
	case snapshot.StepEndProof:
		return r.endProof(ctx, s, o)
	case snapshot.StepKeepVolumes:
		return r.keepVolumes(ctx, s, o)
	case snapshot.StepReserveVolumes:
		return r.reserve(ctx, s, o)
	case snapshot.StepScaleDown:
		return r.scaleDown(ctx, o)
	case snapshot.StepAwaitGone:
		return r.awaitGone(ctx, s, o)
	case snapshot.StepSwap:
		return r.swap(ctx, s, o)
	case snapshot.StepSwapBack:
		return r.swapBack(ctx, s, o)
	case snapshot.StepScaleUp:
		return r.scaleUp(ctx, s, o)
	case snapshot.StepAwaitStart:
		return r.awaitReadyAgain(ctx, s, o)
	case snapshot.StepRelease:
		return r.release(ctx, s, o)
	case snapshot.StepDiscard:
		return r.discard(ctx, s, o)
	}
	if s.Status.RollBack != nil {
		return r.rolledBack(ctx, s, o)
	}
	return r.complete(ctx, s, o, "")
}

package repository

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
)

// +kubebuilder:rbac:groups=lull.dev,resources=resticrepositories,verbs=get;list;watch
// +kubebuilder:rbac:groups=lull.dev,resources=resticrepositories/status,verbs=patch

// workers is how many repositories are worked on at once.
const workers = 4

// Reconciler reconciles repositories.
type Reconciler struct {
	client.Client
	// Live reads past the cache.
	Live   client.Reader
	Movers *mover.Movers
	Events events.EventRecorder
	Clock  clock.PassiveClock
}

// SetupWithManager registers the reconciler.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.ResticRepository{}).
		Owns(&batchv1.Job{}).
		Watches(&v1alpha1.ResticRepository{}, handler.EnqueueRequestsFromMapFunc(r.relatives)).
		WithOptions(reconcile.Options("ResticRepository", workers)).
		Complete(r.loop())
}

func (r *Reconciler) loop() *reconcile.Loop[*v1alpha1.ResticRepository] {
	return &reconcile.Loop[*v1alpha1.ResticRepository]{
		Client: r.Client, Live: r.Live, Events: r.Events, Clock: r.Clock,
		New:       func() *v1alpha1.ResticRepository { return &v1alpha1.ResticRepository{} },
		AtRest:    r.isAtRest,
		Steps:     r.steps,
		Stalled:   stalled,
		Summarize: summarize,
		Seen:      healthNow.note,
	}
}

// isAtRest is true for a repository that goes: Kubernetes takes the Jobs of its
// looks along.
func (r *Reconciler) isAtRest(_ context.Context, repo *v1alpha1.ResticRepository) bool {
	return !repo.DeletionTimestamp.IsZero()
}

// run is the work on one repository in one reconcile.
type run struct {
	*reconcile.Scope[*v1alpha1.ResticRepository]
	*Reconciler
}

func (r *Reconciler) steps(on *reconcile.Scope[*v1alpha1.ResticRepository]) []reconcile.Step {
	w := &run{Scope: on, Reconciler: r}
	return []reconcile.Step{
		{Name: "Rekey", Take: w.rekey}, // a look would take the new password for the old one under way
		{Name: "Init", Take: w.init},
		{Name: "Look", Take: w.look},
		{Name: "Accept", Take: w.accept},
		{Name: "Maintain", Take: w.maintain},
		{Name: "Copy", Take: w.copy},
		{Name: "Rest", Take: w.rest},
	}
}

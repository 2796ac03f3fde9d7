package policy

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/policy"
)

// Who reads what, and why, stands in docs/operating.md.
//
// +kubebuilder:rbac:groups=lull.dev,resources=snapshotpolicies;clustersnapshotpolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups=lull.dev,resources=snapshotpolicies/status;clustersnapshotpolicies/status,verbs=patch
// +kubebuilder:rbac:groups=lull.dev,resources=volumebackups,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=lull.dev,resources=volumerestores,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces;persistentvolumeclaims;replicationcontrollers,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;daemonsets;replicasets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list

// Options are the limits of policies.
type Options struct {
	// Workers is how many policies of each kind are worked on at once.
	Workers int
}

// DefaultOptions are the limits where nobody says otherwise.
func DefaultOptions() Options { return Options{Workers: 20} }

// Reconciler reconciles the policies of both kinds.
type Reconciler struct {
	client.Client
	// Live reads past the cache.
	Live   client.Reader
	Events events.EventRecorder
	// Clock is the one that policies go by, Machine that of this machine, which its
	// timers run by.
	Clock, Machine clock.PassiveClock
	Options        Options

	rush      rush
	unwritten unwritten
	deletions deletions
	mounts    mounts
}

// object is a policy of either kind.
type object interface {
	reconcile.Object
	PolicySpec() *v1alpha1.SnapshotPolicySpec
	PolicyStatus() *v1alpha1.SnapshotPolicyStatus
}

// SetupWithManager registers the reconciler, for both kinds.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := indexFields(ctx, mgr); err != nil {
		return err
	}
	ofNamespace := building(r, mgr, func() *v1alpha1.SnapshotPolicy { return &v1alpha1.SnapshotPolicy{} })
	if err := ofNamespace.Complete(loopOf(r, func() *v1alpha1.SnapshotPolicy { return &v1alpha1.SnapshotPolicy{} })); err != nil {
		return err
	}
	ofCluster := building(r, mgr, func() *v1alpha1.ClusterSnapshotPolicy { return &v1alpha1.ClusterSnapshotPolicy{} }).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.wakesSelecting), builder.OnlyMetadata, builder.WithPredicates(ifSelectionChanges)).
		Watches(&v1alpha1.SnapshotPolicy{}, handler.EnqueueRequestsFromMapFunc(wakesNamesake), builder.WithPredicates(unlessStatusAlone))
	return ofCluster.Complete(loopOf(r, func() *v1alpha1.ClusterSnapshotPolicy { return &v1alpha1.ClusterSnapshotPolicy{} }))
}

func building[T object](r *Reconciler, mgr ctrl.Manager, empty func() T) *ctrl.Builder {
	kind := "SnapshotPolicy"
	if isOfCluster(empty()) {
		kind = "ClusterSnapshotPolicy"
	}
	b := ctrl.NewControllerManagedBy(mgr).
		For(empty(), builder.WithPredicates(unlessStatusAlone)).
		Watches(&v1alpha1.VolumeBackup{}, notesDeletions[T](r), builder.WithPredicates(ifBackupCounts)).
		WatchesRawSource(clockJumps[T](r)).
		WithOptions(reconcile.Options(kind, r.Options.Workers))
	for _, kind := range applicationKinds() {
		b = b.Watches(kind, whoMayChange[T](r), builder.OnlyMetadata, builder.WithPredicates(ifSelectionChanges))
	}
	return b
}

func loopOf[T object](r *Reconciler, empty func() T) *reconcile.Loop[T] {
	return &reconcile.Loop[T]{
		Client: r.Client, Live: r.Live, Events: r.Events, Clock: r.Clock,
		New:       empty,
		AtRest:    func(_ context.Context, p T) bool { return !p.GetDeletionTimestamp().IsZero() },
		FromCache: true, // names have no backup made twice, and no status is written over a newer one
		Steps:     func(s *reconcile.Scope[T]) []reconcile.Step { return stepsOf(r, s) },
		Stalled:   stalled[T],
		Summarize: summarize[T],
	}
}

// run is the work on one policy in one reconcile.
type run[T object] struct {
	*reconcile.Scope[T]
	*Reconciler

	// state is there once it is observed, and due is what there was to make.
	state *policy.State
	due   policy.Due
	// unreadable are policies of namespaces that can't run as they are written, in
	// the place of which a policy of the cluster runs.
	unreadable []string
	// failed is what stood in the way of single backups: it is told at the end.
	failed error
}

// stepsOf are those of a policy. All of them are asked each time: none has to
// wait for another.
func stepsOf[T object](r *Reconciler, on *reconcile.Scope[T]) []reconcile.Step {
	w := &run[T]{Scope: on, Reconciler: r}
	return []reconcile.Step{
		{Name: "Observe", Take: w.observe},
		{Name: "NoteMassDeletion", Take: w.noteMassDeletion},
		{Name: "RunNow", Take: w.runNow},
		{Name: "Make", Take: w.makeDue},
		{Name: "Remove", Take: w.remove},
		{Name: "Report", Take: w.report},
	}
}

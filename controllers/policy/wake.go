package policy

import (
	"cmp"
	"context"
	"maps"
	"time"
	"unique"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/policy"
)

// WatchedKinds are what may be an application, and namespaces. Of them only the
// metadata is watched, and of that only what OnlySelection keeps.
func WatchedKinds() []client.Object { return append(applicationKinds(), &corev1.Namespace{}) }

func applicationKinds() []client.Object {
	return []client.Object{
		&appsv1.Deployment{}, &appsv1.StatefulSet{}, &appsv1.DaemonSet{}, &appsv1.ReplicaSet{},
		&corev1.ReplicationController{}, &corev1.PersistentVolumeClaim{},
	}
}

// OnlySelection is the transform of a cache that keeps of an object's metadata
// its identity, whether it is being deleted, and what policies select by. What
// another object makes anew with each of its versions is selected by none.
func OnlySelection(obj any) (any, error) {
	m, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return obj, nil
	}
	kept := metav1.ObjectMeta{Namespace: unique.Make(m.Namespace).Value(), Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, DeletionTimestamp: m.DeletionTimestamp}
	if isManaged(m) {
		kept.OwnerReferences = []metav1.OwnerReference{*metav1.GetControllerOfNoCopy(m)}
	} else {
		kept.Labels, kept.Generation = m.Labels, m.Generation
	}
	kept.Annotations = policy.OwnAnnotations(m.Annotations)
	m.ObjectMeta = kept
	m.Kind, m.APIVersion = unique.Make(m.Kind).Value(), unique.Make(m.APIVersion).Value() // each object has a copy of its own otherwise
	return m, nil
}

// isManaged is true for the ReplicaSet of a Deployment, and for what other
// operators make of these kinds in the same way, a version after another. A
// StatefulSet, a Deployment or a claim that is owned is an application by itself
// all the same: operators of databases make them.
func isManaged(m *metav1.PartialObjectMetadata) bool {
	isVersion := m.Kind == string(v1alpha1.KindReplicaSet) || m.Kind == string(v1alpha1.KindReplicationController)
	return isVersion && metav1.GetControllerOfNoCopy(m) != nil
}

// Indexes of the cache.
const (
	// byPolicy are backups by the name of the policy that they count in, and
	// objects by the names of those that they ask for.
	byPolicy = "policy"
	// byApplication are policies by the applications that they name, and by
	// anyApplication where they select.
	byApplication  = "application"
	anyApplication = "*"
	// byOut are the claims that say of themselves that no policy takes them.
	byOut = "out"
)

func indexFields(ctx context.Context, mgr ctrl.Manager) error {
	indexer := mgr.GetFieldIndexer()
	err := indexer.IndexField(ctx, &v1alpha1.VolumeBackup{}, byPolicy, func(obj client.Object) []string {
		return []string{obj.GetLabels()[v1alpha1.LabelPolicy]}
	})
	for _, kind := range []client.Object{&v1alpha1.SnapshotPolicy{}, &v1alpha1.ClusterSnapshotPolicy{}} {
		if err == nil {
			err = indexer.IndexField(ctx, kind, byApplication, concerned)
		}
	}
	for _, kind := range applicationKinds() {
		if err != nil {
			return err
		}
		var metadata *metav1.PartialObjectMetadata
		if metadata, err = metadataOf(kind, mgr.GetScheme()); err == nil {
			err = indexer.IndexField(ctx, metadata, byPolicy, func(obj client.Object) []string { return policy.Joined(obj.GetAnnotations()) })
		}
	}
	claims, _ := metadataOf(&corev1.PersistentVolumeClaim{}, mgr.GetScheme()) // that it knows the kind was seen above
	return cmp.Or(err, indexer.IndexField(ctx, claims, byOut, isOut))
}

func isOut(obj client.Object) []string {
	if !policy.IsOut(obj.GetAnnotations()) {
		return nil
	}
	return []string{"true"}
}

// metadataOf is an empty object of which only the metadata is read.
func metadataOf(kind client.Object, scheme *runtime.Scheme) (*metav1.PartialObjectMetadata, error) {
	gvk, err := apiutil.GVKForObject(kind, scheme)
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(gvk)
	return m, err
}

// concerned are the applications whose changes concern a policy.
func concerned(obj client.Object) []string {
	p, is := obj.(object)
	if !is {
		return nil
	}
	who := p.PolicySpec().Applications
	if who.Selector != nil || who.ClaimSelector != nil {
		return []string{anyApplication}
	}
	var all []string
	for _, ref := range who.Refs {
		all = append(all, applicationKey(string(cmp.Or(ref.Kind, v1alpha1.KindDeployment)), ref.Name))
	}
	return all
}

func applicationKey(kind, name string) string { return kind + "/" + name }

// unlessStatusAlone leaves out what a policy tells of itself.
var unlessStatusAlone = predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})

// ifSelectionChanges leaves out changes of what policies don't select by. What
// claims a workload mounts changes with its generation.
var ifSelectionChanges = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	return isSelectedOtherwise(e) || e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration()
}}

func isSelectedOtherwise(e event.UpdateEvent) bool {
	return !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) || !maps.Equal(e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations())
}

// ifBackupCounts leaves out what of a backup doesn't matter to its policy: that it
// begins, and how it comes to its end.
var ifBackupCounts = predicate.Funcs{CreateFunc: func(e event.CreateEvent) bool {
	b, is := e.Object.(*v1alpha1.VolumeBackup)
	return is && (policy.IsComplete(b) || policy.HasFailed(b))
}, UpdateFunc: func(e event.UpdateEvent) bool {
	before, _ := e.ObjectOld.(*v1alpha1.VolumeBackup)
	after, _ := e.ObjectNew.(*v1alpha1.VolumeBackup)
	return before == nil || after == nil ||
		policy.IsComplete(before) != policy.IsComplete(after) || policy.HasFailed(before) != policy.HasFailed(after) ||
		before.DeletionTimestamp.IsZero() != after.DeletionTimestamp.IsZero() ||
		before.Annotations[v1alpha1.AnnotationKeep] != after.Annotations[v1alpha1.AnnotationKeep] ||
		before.Labels[v1alpha1.LabelPolicy] != after.Labels[v1alpha1.LabelPolicy]
}}

// policyOf is the policy that a backup counts in, of one kind.
func policyOf[T object](_ context.Context, obj client.Object) []ctrl.Request {
	name := obj.GetLabels()[v1alpha1.LabelPolicy]
	if name == "" {
		return nil
	}
	var empty T
	if isOfCluster(empty) {
		return []ctrl.Request{{NamespacedName: types.NamespacedName{Name: name}}}
	}
	return []ctrl.Request{{NamespacedName: types.NamespacedName{Namespace: obj.GetNamespace(), Name: name}}}
}

// specSettles is how long a policy waits until it looks at the specs of workloads
// that have changed: autoscalers change them all the time.
const specSettles = time.Minute

// settling is a handler of what may be an application.
type settling struct {
	handler.EventHandler
	wakes handler.MapFunc
}

func whoMayChange[T object](r *Reconciler) handler.EventHandler {
	return settling{handler.EnqueueRequestsFromMapFunc(wakes[T](r)), wakes[T](r)}
}

// Update has the policies look at once where a selection changes.
func (s settling) Update(ctx context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) {
	if isSelectedOtherwise(e) {
		s.EventHandler.Update(ctx, e, queue)
		return
	}
	for _, its := range s.wakes(ctx, e.ObjectNew) {
		queue.AddAfter(its, specSettles)
	}
}

// wakes are the policies of one kind that an object concerns: those that it asks
// for, that name it, and that select.
func wakes[T object](r *Reconciler) handler.MapFunc {
	return func(ctx context.Context, obj client.Object) []ctrl.Request {
		var empty T
		namespace := obj.GetNamespace()
		if isOfCluster(empty) {
			namespace = ""
		}
		var found []ctrl.Request
		for _, name := range policy.Joined(obj.GetAnnotations()) {
			found = append(found, ctrl.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}})
		}
		for _, key := range []string{anyApplication, applicationKey(obj.GetObjectKind().GroupVersionKind().Kind, obj.GetName())} {
			all := listOf(empty)
			if err := r.List(ctx, all, client.InNamespace(namespace), client.MatchingFields{byApplication: key}, client.UnsafeDisableDeepCopy); err != nil {
				return found // the cache isn't there: every policy comes again when it is
			}
			_ = meta.EachListItem(all, func(item runtime.Object) error { // it can't fail: the function never does
				if p, is := item.(client.Object); is {
					found = append(found, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(p)})
				}
				return nil
			})
		}
		return found
	}
}

// wakesSelecting are the policies of the cluster that select by namespaces.
func (r *Reconciler) wakesSelecting(ctx context.Context, _ client.Object) []ctrl.Request {
	var all v1alpha1.ClusterSnapshotPolicyList
	if err := r.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return nil // the cache isn't there: every policy comes again when it is
	}
	var found []ctrl.Request
	for i := range all.Items {
		found = append(found, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&all.Items[i])})
	}
	return found
}

// wakesNamesake is the policy of the cluster that has the name of a namespace's:
// what the one has, the other hasn't.
func wakesNamesake(_ context.Context, p client.Object) []ctrl.Request {
	return []ctrl.Request{{NamespacedName: types.NamespacedName{Name: p.GetName()}}}
}

func listOf(p object) client.ObjectList {
	if isOfCluster(p) {
		return &v1alpha1.ClusterSnapshotPolicyList{}
	}
	return &v1alpha1.SnapshotPolicyList{}
}

// isOfCluster is true for a policy of that kind, whether there is one or not.
func isOfCluster(p object) bool {
	_, is := p.(*v1alpha1.ClusterSnapshotPolicy)
	return is
}

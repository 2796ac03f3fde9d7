package policy

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/policy"
	"github.com/lull-dev/lull/snapshot/workload"
)

// observe reads the policy, its applications and their backups. What it needs of
// the cluster is in the cache, or was asked for before: many policies are due at
// once.
func (w *run[T]) observe(ctx context.Context) reconcile.Outcome {
	if w.state != nil {
		return reconcile.Skip()
	}
	p, err := policy.Read(w.Object.GetNamespace(), w.Object.GetName(), w.Object.GetCreationTimestamp().Time, w.Object.PolicySpec())
	if err != nil {
		return reconcile.Failed(err)
	}
	state := &policy.State{Policy: p, Status: w.Object.PolicyStatus(), Unwritten: w.unwritten.take(w.Object.GetUID()), Now: w.Now()}
	if state.Applications, err = w.selected(ctx, p); err != nil {
		return reconcile.Failed(err)
	}
	if state.OfCluster, err = w.ofCluster(ctx, p, state.Applications); err != nil {
		return reconcile.Retry(err)
	}
	if state.Backups, err = w.backupsOf(ctx, state); err != nil {
		return reconcile.Retry(err)
	}
	state.Observe()
	if !state.Ahead.IsZero() {
		w.RecordOnceSaved(eventClockWasAhead(state.Ahead, state.Now))
	}
	w.state = state
	return reconcile.Skip()
}

// selected are the applications of the policy, in all namespaces that it has.
func (w *run[T]) selected(ctx context.Context, p *policy.Policy) ([]policy.Application, error) {
	if !p.IsOfCluster() {
		return w.selectedIn(ctx, p, p.Namespace, true)
	}
	var namespaces metav1.PartialObjectMetadataList
	namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := w.List(ctx, &namespaces); err != nil {
		return nil, err
	}
	var all []policy.Application
	for i := range namespaces.Items {
		own, err := w.selectedFor(ctx, p, w.Object, &namespaces.Items[i])
		if err != nil {
			return nil, err
		}
		if len(own) > 0 {
			covered, err := w.coveredIn(ctx, p.Name, namespaces.Items[i].Name)
			if err != nil {
				return nil, err
			}
			own = policy.Without(own, covered)
		}
		all = append(all, own...)
	}
	slices.SortFunc(all, policy.Application.Compare)
	return all, nil
}

// selectedFor are the applications that a policy of the cluster selects in a
// namespace, whether a policy there has them or not.
func (w *run[T]) selectedFor(ctx context.Context, p *policy.Policy, written client.Object, ns *metav1.PartialObjectMetadata) ([]policy.Application, error) {
	var selector *metav1.LabelSelector
	if c, is := written.(*v1alpha1.ClusterSnapshotPolicy); is {
		selector = c.Spec.NamespaceSelector
	}
	isSelected, err := policy.SelectsNamespace(selector, ns)
	if err != nil || !ns.DeletionTimestamp.IsZero() {
		return nil, err
	}
	return w.selectedIn(ctx, p, ns.Name, isSelected)
}

// coveredIn are the applications that a policy of the same name in a namespace
// has. One that can't run as it is written has none: who may write it there stops
// nobody else's backups by that.
func (w *run[T]) coveredIn(ctx context.Context, name, namespace string) ([]policy.Application, error) {
	var other v1alpha1.SnapshotPolicy
	if err := w.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &other); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	its, err := policy.Read(namespace, name, other.CreationTimestamp.Time, &other.Spec)
	var covered []policy.Application
	if err == nil {
		covered, err = w.selectedIn(ctx, its, namespace, true)
	}
	if reconcile.ProblemOf(err) != nil {
		w.unreadable = append(w.unreadable, namespace+"/"+name)
	}
	return covered, unlessProblem(err)
}

// unlessProblem is an error that isn't of a policy's own making.
func unlessProblem(err error) error {
	if errors.As(err, new(*v1alpha1.Problem)) {
		return nil
	}
	return err
}

// ofCluster are the applications that the policy of the cluster with the name of a
// namespace's has there: its backups don't count in this one.
func (w *run[T]) ofCluster(ctx context.Context, p *policy.Policy, own []policy.Application) ([]policy.Application, error) {
	if p.IsOfCluster() {
		return nil, nil
	}
	var other v1alpha1.ClusterSnapshotPolicy
	if err := w.Get(ctx, client.ObjectKey{Name: p.Name}, &other); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	var ns metav1.PartialObjectMetadata
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := w.Get(ctx, client.ObjectKey{Name: p.Namespace}, &ns); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	its, err := policy.Read("", other.Name, other.CreationTimestamp.Time, other.PolicySpec())
	var all []policy.Application
	if err == nil {
		all, err = w.selectedFor(ctx, its, &other, &ns)
	}
	return policy.Without(all, own), unlessProblem(err) // one that can't run has none
}

// selectedIn are the applications of a policy in one namespace.
func (w *run[T]) selectedIn(ctx context.Context, p *policy.Policy, namespace string, isSelected bool) ([]policy.Application, error) {
	candidates, err := w.candidates(ctx, p, namespace, isSelected)
	if err != nil {
		return nil, err
	}
	return p.Select(namespace, isSelected, candidates)
}

// candidates are what may be an application of the policy in a namespace: what it
// names, what asks for it and, where it selects, all there is. In a namespace that
// it doesn't select only what asks for it may be.
func (w *run[T]) candidates(ctx context.Context, p *policy.Policy, namespace string, isSelected bool) ([]policy.Candidate, error) {
	who := p.Spec.Applications
	selects := isSelected && (who.Selector != nil || who.ClaimSelector != nil)
	var found []policy.Candidate
	for _, kind := range applicationKinds() {
		metadata, err := metadataOf(kind, w.Scheme())
		if err != nil {
			return nil, err
		}
		filters := []client.ListOption{client.InNamespace(namespace), client.UnsafeDisableDeepCopy}
		if !selects {
			filters = append(filters, client.MatchingFields{byPolicy: p.Name})
		}
		all := &metav1.PartialObjectMetadataList{}
		all.SetGroupVersionKind(metadata.GroupVersionKind())
		if err := w.List(ctx, all, filters...); err != nil {
			return nil, err
		}
		for i := range all.Items {
			found = append(found, candidateOf(&all.Items[i], metadata.Kind))
		}
		if err := w.addMounts(ctx, p, all, found[len(found)-len(all.Items):]); err != nil {
			return nil, err
		}
	}
	if isSelected && !selects {
		named, err := w.named(ctx, who.Refs, namespace)
		return append(found, named...), err
	}
	return found, nil
}

func candidateOf(m *metav1.PartialObjectMetadata, kind string) policy.Candidate {
	return policy.Candidate{
		Application: policy.Application{Namespace: m.Namespace, Ref: v1alpha1.ApplicationReference{Kind: v1alpha1.ApplicationKind(kind), Name: m.Name}},
		Labels:      m.Labels, Annotations: m.Annotations, IsOwned: isManaged(m),
	}
}

// named are those of the references that are there: they may say that they
// aren't to be backed up.
func (w *run[T]) named(ctx context.Context, refs []v1alpha1.ApplicationReference, namespace string) ([]policy.Candidate, error) {
	var found []policy.Candidate
	for _, ref := range refs {
		kind := workload.Empty(ref.Kind)
		if ref.Kind == "" {
			kind = workload.Empty(v1alpha1.KindDeployment)
		}
		obj, is := kind.(client.Object)
		if ref.Kind == v1alpha1.KindPersistentVolumeClaim {
			obj, is = &corev1.PersistentVolumeClaim{}, true
		}
		if !is {
			continue // a bare pod
		}
		metadata, err := metadataOf(obj, w.Scheme())
		if err != nil {
			return nil, err
		}
		kindName := metadata.Kind
		err = w.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, metadata)
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
		if err == nil {
			found = append(found, candidateOf(metadata, kindName))
		}
	}
	return found, nil
}

// backupsOf are those that count in the policy and aren't being deleted.
func (w *run[T]) backupsOf(ctx context.Context, state *policy.State) ([]*v1alpha1.VolumeBackup, error) {
	var all v1alpha1.VolumeBackupList
	err := w.List(ctx, &all, client.InNamespace(state.Namespace), client.MatchingFields{byPolicy: state.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, err
	}
	var own []*v1alpha1.VolumeBackup
	for i := range all.Items {
		if b := &all.Items[i]; b.DeletionTimestamp.IsZero() && state.Counts(b) {
			own = append(own, b)
		}
	}
	return own, nil
}

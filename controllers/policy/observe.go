package policy

import (
	"context"
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
	if state.Backups, err = w.backupsOf(ctx, p, state.Applications); err != nil {
		return reconcile.Retry(err)
	}
	state.Observe()
	w.state = state
	return reconcile.Skip()
}

// selected are the applications of the policy, in all namespaces that it has.
func (w *run[T]) selected(ctx context.Context, p *policy.Policy) ([]policy.Application, error) {
	if !p.IsOfCluster() {
		candidates, err := w.candidates(ctx, p, p.Namespace)
		if err != nil {
			return nil, err
		}
		return p.Select(p.Namespace, true, candidates)
	}
	var namespaces metav1.PartialObjectMetadataList
	namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := w.List(ctx, &namespaces); err != nil {
		return nil, err
	}
	var all []policy.Application
	for i := range namespaces.Items {
		ns := &namespaces.Items[i]
		own, err := w.selectedIn(ctx, p, ns)
		if err != nil {
			return nil, err
		}
		all = append(all, own...)
	}
	slices.SortFunc(all, policy.Application.Compare)
	return all, nil
}

// selectedIn are the applications of a policy of the cluster in one namespace,
// without those that a policy there of the same name has.
func (w *run[T]) selectedIn(ctx context.Context, p *policy.Policy, ns *metav1.PartialObjectMetadata) ([]policy.Application, error) {
	isSelected, err := policy.SelectsNamespace(w.namespaceSelector(), ns)
	if err != nil || !ns.DeletionTimestamp.IsZero() {
		return nil, err
	}
	candidates, err := w.candidates(ctx, p, ns.Name)
	if err != nil {
		return nil, err
	}
	chosen, err := p.Select(ns.Name, isSelected, candidates)
	if err != nil || len(chosen) == 0 {
		return nil, err
	}
	var other v1alpha1.SnapshotPolicy
	if err := w.Get(ctx, client.ObjectKey{Namespace: ns.Name, Name: p.Name}, &other); err != nil {
		return chosen, client.IgnoreNotFound(err)
	}
	its := &policy.Policy{Namespace: ns.Name, Name: other.Name, Spec: &other.Spec}
	candidates, err = w.candidates(ctx, its, ns.Name)
	if err != nil {
		return nil, err
	}
	covered, err := its.Select(ns.Name, true, candidates)
	return policy.Without(chosen, covered), err
}

func (w *run[T]) namespaceSelector() *metav1.LabelSelector {
	if p, is := any(w.Object).(*v1alpha1.ClusterSnapshotPolicy); is {
		return p.Spec.NamespaceSelector
	}
	return nil
}

// candidates are what may be an application of the policy in a namespace: what it
// names, what asks for it and, where it selects, all there is.
func (w *run[T]) candidates(ctx context.Context, p *policy.Policy, namespace string) ([]policy.Candidate, error) {
	who := p.Spec.Applications
	var found []policy.Candidate
	for _, kind := range applicationKinds() {
		metadata, err := metadataOf(kind, w.Scheme())
		if err != nil {
			return nil, err
		}
		filters := []client.ListOption{client.InNamespace(namespace), client.UnsafeDisableDeepCopy}
		if who.Selector == nil && who.ClaimSelector == nil {
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
	if who.Selector == nil && who.ClaimSelector == nil {
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
func (w *run[T]) backupsOf(ctx context.Context, p *policy.Policy, applications []policy.Application) ([]*v1alpha1.VolumeBackup, error) {
	var all v1alpha1.VolumeBackupList
	err := w.List(ctx, &all, client.InNamespace(p.Namespace), client.MatchingFields{byPolicy: p.Name}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, err
	}
	var own []*v1alpha1.VolumeBackup
	for i := range all.Items {
		if b := &all.Items[i]; b.DeletionTimestamp.IsZero() && p.Counts(b, applications) {
			own = append(own, b)
		}
	}
	return own, nil
}

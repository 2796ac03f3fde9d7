package policy

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/policy"
)

// noteMassDeletion notes where others delete many of the policy's backups, and
// tells it once. From then on retention is held until a person has looked, however
// long ago the deletions were: what is left may be all there is, and as new
// backups come in, retention would take it bit by bit.
func (w *run[T]) noteMassDeletion(ctx context.Context) reconcile.Outcome {
	mass, err := w.massDeletion(ctx)
	if err != nil {
		return reconcile.Retry(err)
	}
	released := w.Object.GetAnnotations()[v1alpha1.AnnotationReleaseRetention]
	if w.state.NoteMassDeletion(mass, released) {
		w.RecordOnceSaved(eventMassDeletion(w.state, mass))
	}
	key, now := client.ObjectKeyFromObject(w.Object), w.state.Now
	w.OnceSaved(func() { w.deletions.forget(key, now) })
	return reconcile.SkipFor(policy.GoesOnFor(mass, now))
}

// massDeletion is what others have deleted at once, if it is that much. Whether a
// namespace goes with all that is in it is asked before a new one is told.
func (w *run[T]) massDeletion(ctx context.Context) ([]policy.Deletion, error) {
	mass := policy.MassDeletion(w.deletedByOthers())
	if len(mass) == 0 || w.state.IsNoted(mass) {
		return mass, nil
	}
	isLeaving := map[string]bool{}
	for _, d := range mass {
		namespace := d.Backup.Namespace
		if _, isAsked := isLeaving[namespace]; isAsked {
			continue
		}
		var err error
		if isLeaving[namespace], err = w.namespaceIsLeaving(ctx, namespace); err != nil {
			return nil, err
		}
	}
	w.deletions.drop(client.ObjectKeyFromObject(w.Object), func(d policy.Deletion) bool { return isLeaving[d.Backup.Namespace] })
	return policy.MassDeletion(w.deletedByOthers()), nil
}

// deletedByOthers are the deletions of backups that count in the policy.
func (w *run[T]) deletedByOthers() []policy.Deletion {
	var counted []policy.Deletion
	for _, d := range w.deletions.of(client.ObjectKeyFromObject(w.Object)) {
		if w.state.Counts(d.Backup) {
			counted = append(counted, d)
		}
	}
	return counted
}

// namespaceIsLeaving reads past the cache: that a namespace is being deleted may
// be seen there after the deletions of what is in it.
func (w *run[T]) namespaceIsLeaving(ctx context.Context, name string) (bool, error) {
	var ns metav1.PartialObjectMetadata
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	err := w.Live.Get(ctx, client.ObjectKey{Name: name}, &ns)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return !ns.DeletionTimestamp.IsZero(), err
}

// markHeldForOthers says that retention is held for what others have deleted, and
// how a person has it go on.
func (w *run[T]) markHeldForOthers(mass *v1alpha1.MassDeletionStatus) {
	what := fmt.Sprintf("others have deleted at least %d backups of the policy since %s: %s", mass.Count, policy.ReleaseOf(mass), names.List(mass.Backups))
	w.markHeld(what, policy.ReleaseOf(mass))
}

package restore

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// makeClone makes the claim that paths are copied from, where it isn't there, and
// says what is waited for until it can be read.
func (w *run) makeClone(ctx context.Context, c *v1alpha1.RestoredClaim) (waits string, err error) {
	clone, there := resticexport.FillClone(w.Object, c), &corev1.PersistentVolumeClaim{}
	err = w.Live.Get(ctx, client.ObjectKeyFromObject(clone), there)
	switch {
	case apierrors.IsNotFound(err):
		return mover.Refusal("the claim "+clone.Name, w.Create(ctx, clone))
	case err != nil:
		return "", err
	case !metav1.IsControlledBy(there, w.Object):
		return "", v1alpha1.Problemf(v1alpha1.ReasonFillFailed, "there is a PersistentVolumeClaim %s that isn't of this restore: delete it, and restore again", there.Name)
	case !there.DeletionTimestamp.IsZero():
		return "waits until claim " + there.Name + ", which somebody has deleted, is gone", nil
	}
	return "", nil
}

// removeClones removes the claims that paths were copied from. It is true once all
// of them are gone.
func (w *run) removeClones(ctx context.Context) (gone bool, err error) {
	gone = true
	for i := range w.Object.Status.Claims {
		c, clone := &w.Object.Status.Claims[i], &corev1.PersistentVolumeClaim{}
		if c.Fill == nil || c.Fill.Clone == nil {
			continue
		}
		key := client.ObjectKey{Namespace: w.Object.Namespace, Name: resticexport.FillCloneName(w.Object, c.ClaimName)}
		err := w.Live.Get(ctx, key, clone)
		if client.IgnoreNotFound(err) != nil {
			return false, err
		}
		if err != nil || !metav1.IsControlledBy(clone, w.Object) {
			continue
		}
		gone = false
		uid := clone.UID
		if err := w.Delete(ctx, clone, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
			return false, err
		}
	}
	return gone, nil
}

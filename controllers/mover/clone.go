package mover

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;create;delete
// +kubebuilder:rbac:groups="",resources=persistentvolumes,verbs=get;patch

// MakeClone makes the claim that a mover reads, where it isn't there, and says what
// is waited for until it can be read. It carries labels and annotations of the claim
// that it is a copy of. One of that name that isn't its owner's is a Problem, unless it
// has the UID that is on record: anybody who may write it can take its owner away.
func (m *Movers) MakeClone(ctx context.Context, clone *corev1.PersistentVolumeClaim, recorded types.UID, labels, annotations map[string]string) (waits string, err error) {
	like(clone, labels, annotations)
	there, owner := &corev1.PersistentVolumeClaim{}, metav1.GetControllerOf(clone)
	err = m.Live.Get(ctx, client.ObjectKeyFromObject(clone), there)
	switch {
	case apierrors.IsNotFound(err):
		return Refusal("the claim "+clone.Name, m.Writes.Create(ctx, clone))
	case err != nil:
		return "", err
	case !isOwnedBy(there, owner.UID) && there.UID != recorded:
		return "", v1alpha1.Problemf(v1alpha1.ReasonClaimExists, "there is a PersistentVolumeClaim %s that isn't of this %s: delete it, and try again", there.Name, owner.Kind)
	case !there.DeletionTimestamp.IsZero():
		return "waits until claim " + there.Name + ", which somebody has deleted, is gone", nil
	}
	return "", nil
}

// RemoveClones removes those claims of an owner that movers read, with their
// volumes. They are known by their owner, or by the UIDs that are on record for their
// names, empty for none. It is true once none is there any more.
func (m *Movers) RemoveClones(ctx context.Context, namespace string, owner types.UID, recorded map[string]types.UID) (gone bool, err error) {
	gone = true
	for name, uid := range recorded {
		clone := &corev1.PersistentVolumeClaim{}
		err := m.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, clone)
		if client.IgnoreNotFound(err) != nil {
			return false, err
		}
		if err != nil || !isOwnedBy(clone, owner) && clone.UID != uid {
			continue
		}
		gone = false
		if err := m.removeClone(ctx, clone); err != nil {
			return false, err
		}
	}
	return gone, nil
}

func (m *Movers) removeClone(ctx context.Context, clone *corev1.PersistentVolumeClaim) error {
	if err := m.letVolumeGo(ctx, clone); err != nil {
		return err
	}
	uid := clone.UID
	return client.IgnoreNotFound(m.Writes.Delete(ctx, clone, client.Preconditions{UID: &uid}))
}

// letVolumeGo has the volume of a clone, or of a cache, go with its claim. A class may
// keep its volumes, and nobody asked for these to be kept.
func (m *Movers) letVolumeGo(ctx context.Context, clone *corev1.PersistentVolumeClaim) error {
	if clone.Spec.VolumeName == "" {
		return nil
	}
	volume := &corev1.PersistentVolume{}
	if err := m.Live.Get(ctx, client.ObjectKey{Name: clone.Spec.VolumeName}, volume); err != nil {
		return client.IgnoreNotFound(err)
	}
	if by := volume.Spec.ClaimRef; by == nil || by.UID != clone.UID || volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
		return nil
	}
	before := client.MergeFromWithOptions(volume.DeepCopy(), client.MergeFromWithOptimisticLock{})
	volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
	return client.IgnoreNotFound(m.Writes.Patch(ctx, volume, before))
}

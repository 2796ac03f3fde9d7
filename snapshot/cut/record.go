package cut

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// longAnnotation is the length, in bytes, of an annotation that isn't recorded:
// a backup is one object, of many claims.
const longAnnotation = 1024

// RecordClaim is how a claim is when it is backed up.
func RecordClaim(claim *corev1.PersistentVolumeClaim) *v1alpha1.BackedUpClaim {
	r := &v1alpha1.BackedUpClaim{
		Labels:                    maps.Clone(claim.Labels),
		Annotations:               workload.OwnAnnotations(claim.Annotations),
		AccessModes:               slices.Clone(claim.Spec.AccessModes),
		VolumeMode:                claim.Spec.VolumeMode,
		StorageClassName:          claim.Spec.StorageClassName,
		VolumeAttributesClassName: claim.Spec.VolumeAttributesClassName,
		Size:                      amountIn(claim.Spec.Resources.Requests),
		Capacity:                  amountIn(claim.Status.Capacity),
	}
	delete(r.Labels, v1alpha1.LabelGroup)
	delete(r.Labels, v1alpha1.LabelPrevious)
	delete(r.Annotations, corev1.LastAppliedConfigAnnotation)
	maps.DeleteFunc(r.Annotations, func(_, value string) bool { return len(value) > longAnnotation })
	return r
}

func amountIn(list corev1.ResourceList) *resource.Quantity {
	if q, ok := list[corev1.ResourceStorage]; ok {
		return &q
	}
	return nil
}

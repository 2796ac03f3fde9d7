package cut

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestRecordClaim(t *testing.T) {
	claim := &corev1.PersistentVolumeClaim{}
	claim.Labels = map[string]string{"team": "shop", v1alpha1.LabelGroup: "g", v1alpha1.LabelPrevious: "true"}
	claim.Annotations = map[string]string{
		"helm.sh/resource-policy": "keep", "pv.kubernetes.io/bind-completed": "yes", corev1.LastAppliedConfigAnnotation: "{}", "long": strings.Repeat("x", 1025),
	}
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod}
	claim.Spec.StorageClassName, claim.Spec.VolumeAttributesClassName = ptr.To("fast"), ptr.To("gold")
	claim.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock)
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")}
	r := RecordClaim(claim)
	if len(r.Labels) != 1 || r.Labels["team"] != "shop" || len(r.Annotations) != 1 || r.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Errorf("what its owner says, and no more: got %+v", r)
	}
	if r.AccessModes[0] != corev1.ReadWriteOncePod || *r.StorageClassName != "fast" || *r.VolumeAttributesClassName != "gold" || *r.VolumeMode != corev1.PersistentVolumeBlock {
		t.Errorf("got %+v", r)
	}
	if r.Size.String() != "1Gi" || r.Capacity.String() != "2Gi" {
		t.Errorf("got %s of %s", r.Size, r.Capacity)
	}
	if len(claim.Labels) != 3 || len(claim.Annotations) != 4 {
		t.Error("the claim is only read")
	}
	if r := RecordClaim(&corev1.PersistentVolumeClaim{}); r.Size != nil || r.Capacity != nil {
		t.Errorf("nothing is made up: got %+v", r)
	}
}

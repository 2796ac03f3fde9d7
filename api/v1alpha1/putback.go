package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// LabelVelero is on whatever Velero puts back: the name of its Restore.
const LabelVelero = "velero.io/restore-name"

// PutBackBy is the Velero Restore that has put a one-shot object back, empty for an
// object that somebody has made, or that has begun since. began is when its status
// says that it began, nil where it doesn't: before the object was made, it is the
// status of an earlier life.
func PutBackBy(obj metav1.Object, began *metav1.Time) string {
	made := obj.GetCreationTimestamp()
	if began != nil && !began.Before(&made) {
		return ""
	}
	return obj.GetLabels()[LabelVelero]
}

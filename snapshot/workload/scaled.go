package workload

import (
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ScaledBy are who has set the number of replicas of a workload as it is, by the
// names under which the API server notes it
// (https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers).
func ScaledBy(obj metav1.Object) []string {
	var managers []string
	for _, entry := range obj.GetManagedFields() {
		var fields struct {
			Spec struct {
				Replicas json.RawMessage `json:"f:replicas"`
			} `json:"f:spec"`
		}
		if entry.FieldsV1 == nil || json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields) != nil {
			continue
		}
		if fields.Spec.Replicas != nil && !slices.Contains(managers, entry.Manager) {
			managers = append(managers, entry.Manager)
		}
	}
	return managers
}

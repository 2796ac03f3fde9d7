package workload

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestScaledBy(t *testing.T) {
	entry := func(manager, fields string) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: metav1.NewFieldsV1(fields)}
	}
	s := &appsv1.StatefulSet{}
	s.ManagedFields = []metav1.ManagedFieldsEntry{
		entry("helm", `{"f:spec":{"f:template":{}}}`),
		entry("kafka-operator", `{"f:metadata":{},"f:spec":{"f:replicas":{},"f:template":{}}}`),
		entry("kafka-operator", `{"f:spec":{"f:replicas":{}}}`),
		entry("kube-controller-manager", `{"f:status":{"f:replicas":{}}}`),
		entry("broken", `{`),
		{Manager: "empty"},
	}
	if got := ScaledBy(s); !slices.Equal(got, []string{"kafka-operator"}) {
		t.Errorf("got %v", got)
	}
}

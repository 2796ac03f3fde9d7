package live

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/snapshot/rules"
)

// +kubebuilder:rbac:groups="",resources=limitranges;resourcequotas;services,verbs=list

// Rules are what a pod of ours has to fit in a namespace.
func (r Reader) Rules(ctx context.Context, namespace string) (rules.Rules, error) {
	var limits corev1.LimitRangeList
	var quotas corev1.ResourceQuotaList
	var services corev1.ServiceList
	for _, list := range []client.ObjectList{&limits, &quotas, &services} {
		if err := r.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return rules.Rules{}, err
		}
	}
	return rules.Rules{Limits: limits.Items, Quotas: quotas.Items, Services: services.Items}, nil
}

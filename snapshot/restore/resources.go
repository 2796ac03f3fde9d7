package restore

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// ParseResources reads what a pod of ours asks for: names of resources and
// amounts, as in cpu=10m,memory=32Mi,limits.cpu=500m. Those of base stay where
// nothing else is said; a limit below its request is raised to it, unless it was
// said.
func ParseResources(text string, base corev1.ResourceRequirements) (corev1.ResourceRequirements, error) {
	parsed := *base.DeepCopy()
	said := map[corev1.ResourceName]bool{}
	for _, part := range strings.Split(text, ",") {
		key, amount, _ := strings.Cut(strings.TrimSpace(part), "=")
		name, isLimit := strings.CutPrefix(key, "limits.")
		q, err := resource.ParseQuantity(amount)
		if !slices.Contains([]string{"cpu", "memory", "ephemeral-storage"}, name) || err != nil || q.Sign() <= 0 {
			return parsed, fmt.Errorf("%q: write names and amounts, such as cpu=10m,memory=32Mi,limits.cpu=500m,limits.memory=128Mi: each of cpu, memory, ephemeral-storage", part)
		}
		if isLimit {
			parsed.Limits[corev1.ResourceName(name)], said[corev1.ResourceName(name)] = q, true
			continue
		}
		parsed.Requests[corev1.ResourceName(name)] = q
	}
	for name, request := range parsed.Requests {
		limit := parsed.Limits[name]
		switch isLess := limit.Cmp(request) < 0; {
		case isLess && said[name]:
			return parsed, fmt.Errorf("limits.%s=%s is less than %s=%s: write no less", name, &limit, name, &request)
		case isLess:
			parsed.Limits[name] = request
		}
	}
	return parsed, nil
}

// MountCheckResources are what a mount check pod asks for where nobody says
// otherwise.
func MountCheckResources() corev1.ResourceRequirements {
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("128Mi")},
	}
}

package restore

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/lull-dev/lull/snapshot/workload"
)

// Rules are what a pod of ours has to fit in the namespace of an application.
// What they ask for the application's own pods carry, so ours carries it too:
//
//	LimitRange            its amounts are fitted to them
//	ResourceQuota         it states all that a quota can ask to be stated
//	PodSecurity, SCC      it needs nothing, and runs as the user that the
//	                      application runs as
//	labels that a policy  it has those of the application, with other values where
//	asks for              something selects the application's pods by them
//	nodes, priority       as the application
type Rules struct {
	Limits   []corev1.LimitRange
	Services []corev1.Service
}

// limitNames are the LimitRanges that speak of pods or containers.
func (r *Rules) limitNames() []string {
	var all []string
	for _, limits := range r.Limits {
		if slices.ContainsFunc(limits.Spec.Limits, isOfPods) {
			all = append(all, limits.Name)
		}
	}
	return all
}

func isOfPods(item corev1.LimitRangeItem) bool {
	return item.Type == corev1.LimitTypeContainer || item.Type == corev1.LimitTypePod
}

// bounds are what all LimitRanges together ask of one resource. A pod of one
// container has the amounts of that. nil is no bound.
type bounds struct {
	name               corev1.ResourceName
	least, most, ratio *resource.Quantity
}

func (r *Rules) boundsOf(name corev1.ResourceName) bounds {
	b := bounds{name: name}
	for _, limits := range r.Limits {
		for _, item := range limits.Spec.Limits {
			if !isOfPods(item) {
				continue
			}
			if q, ok := item.Min[name]; ok && (b.least == nil || q.Cmp(*b.least) > 0) {
				b.least = &q
			}
			if q, ok := item.Max[name]; ok && (b.most == nil || q.Cmp(*b.most) < 0) {
				b.most = &q
			}
			if q, ok := item.MaxLimitRequestRatio[name]; ok && (b.ratio == nil || q.Cmp(*b.ratio) < 0) {
				b.ratio = &q
			}
		}
	}
	return b
}

// names of the resources that are bounded.
func (r *Rules) names() map[corev1.ResourceName]bool {
	found := map[corev1.ResourceName]bool{}
	for _, limits := range r.Limits {
		for _, item := range limits.Spec.Limits {
			for _, list := range []corev1.ResourceList{item.Min, item.Max, item.MaxLimitRequestRatio} {
				for name := range list {
					found[name] = found[name] || isOfPods(item)
				}
			}
		}
	}
	maps.DeleteFunc(found, func(_ corev1.ResourceName, bounded bool) bool { return !bounded })
	return found
}

// fitted are the amounts that are wanted, moved as little as the namespace's
// LimitRanges ask for. Of a resource that isn't wanted and that is bounded it is
// the least. Where ranges contradict each other no amount fits, and the API
// server says so.
func (r *Rules) fitted(want corev1.ResourceRequirements) corev1.ResourceRequirements {
	fit := *want.DeepCopy()
	if fit.Requests == nil {
		fit.Requests = corev1.ResourceList{}
	}
	if fit.Limits == nil {
		fit.Limits = corev1.ResourceList{}
	}
	for name := range r.names() {
		fit.Requests[name], fit.Limits[name] = r.boundsOf(name).fit(fit.Requests[name], fit.Limits[name])
	}
	return fit
}

func (b bounds) fit(request, limit resource.Quantity) (fitRequest, fitLimit resource.Quantity) {
	limit = atLeast(limit, &request)
	if b.most != nil {
		request, limit = atMost(request, *b.most), atMost(limit, *b.most)
	}
	request, limit = atLeast(request, b.least), atLeast(limit, b.least)
	if b.ratio != nil && b.ratio.Sign() > 0 {
		least := b.within(limit)
		request = atMost(atLeast(request, &least), limit)
	}
	return request, limit
}

func atLeast(q resource.Quantity, least *resource.Quantity) resource.Quantity {
	if least != nil && q.Cmp(*least) < 0 {
		return least.DeepCopy()
	}
	return q
}

func atMost(q, most resource.Quantity) resource.Quantity {
	if q.Cmp(most) > 0 {
		return most.DeepCopy()
	}
	return q
}

// within is the least request that keeps a limit within the ratio, in thousandths
// of a processor, or whole units.
func (b bounds) within(limit resource.Quantity) resource.Quantity {
	ratio := b.ratio.AsApproximateFloat64()
	if b.name == corev1.ResourceCPU {
		return *resource.NewMilliQuantity(int64(math.Ceil(float64(limit.MilliValue())/ratio)), limit.Format)
	}
	return *resource.NewQuantity(int64(math.Ceil(float64(limit.Value())/ratio)), limit.Format)
}

// notSelected is the value of a label by which something selects the
// application's pods.
const notSelected = "lull-mount-check"

// labelsLike are the labels of an application's pods for one that isn't the
// application's: no Service, and no controller, selects it by them, and no tool
// prunes it or puts a sidecar into it.
func (r *Rules) labelsLike(w *workload.Workload) map[string]string {
	if w == nil || w.Object == nil {
		return map[string]string{}
	}
	own := w.Template.Labels
	like := unmarked(own)
	keys := w.SelectorKeys()
	for _, service := range r.Services {
		if selector := service.Spec.Selector; len(selector) > 0 && labels.SelectorFromSet(selector).Matches(labels.Set(own)) {
			keys = slices.AppendSeq(keys, maps.Keys(selector))
		}
	}
	for _, key := range keys {
		if _, ok := like[key]; ok {
			like[key] = notSelected
		}
	}
	maps.DeleteFunc(like, func(key, _ string) bool {
		return strings.Contains(key, "inject") || strings.HasPrefix(key, "istio.io/")
	})
	return like
}

// userOf is the user that the containers of an application run as, nil for that
// of the image and for root.
func userOf(spec *corev1.PodSpec) (user, group *int64) {
	if c := spec.SecurityContext; c != nil {
		user, group = c.RunAsUser, c.RunAsGroup
	}
	for i := range spec.Containers {
		if c := spec.Containers[i].SecurityContext; c != nil && user == nil {
			user, group = c.RunAsUser, c.RunAsGroup
		}
	}
	if user == nil || *user == 0 {
		return nil, nil
	}
	return user, group
}

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
		if said[name] && limit.Cmp(request) < 0 {
			return parsed, fmt.Errorf("limits.%s=%s is less than %s=%s: write no less", name, &limit, name, &request)
		}
		parsed.Limits[name] = atLeast(limit, &request)
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

package rules

import (
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
//	ResourceQuota         it states all that the quotas ask to be stated
//	PodSecurity, SCC      it needs nothing, and runs as the user that the
//	                      application runs as
//	labels that a policy  it has those of the application, with other values where
//	asks for              something selects the application's pods by them
//	nodes, priority       as the application
type Rules struct {
	Limits   []corev1.LimitRange
	Quotas   []corev1.ResourceQuota
	Services []corev1.Service
}

// LimitNames are the LimitRanges that speak of pods or containers.
func (r *Rules) LimitNames() []string {
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

// Fitted are the amounts that are wanted, moved as little as the namespace's
// LimitRanges ask for. Of a resource that isn't wanted and that is bounded it is
// the least. Where ranges contradict each other no amount fits, and the API
// server says so.
func (r *Rules) Fitted(want corev1.ResourceRequirements) corev1.ResourceRequirements {
	fit := *want.DeepCopy()
	if fit.Requests == nil {
		fit.Requests = corev1.ResourceList{}
	}
	if fit.Limits == nil {
		fit.Limits = corev1.ResourceList{}
	}
	r.state(&fit)
	for name := range r.names() {
		fit.Requests[name], fit.Limits[name] = r.boundsOf(name).fit(fit.Requests[name], fit.Limits[name])
	}
	return fit
}

// usual are limits of resources that nobody has limited and a quota wants limited,
// and their requests. A quota that has less in all is the limit.
var usual = map[corev1.ResourceName]struct{ request, limit resource.Quantity }{
	corev1.ResourceCPU:              {resource.MustParse("100m"), resource.MustParse("2")},
	corev1.ResourceMemory:           {resource.MustParse("256Mi"), resource.MustParse("1Gi")},
	corev1.ResourceEphemeralStorage: {resource.MustParse("64Mi"), resource.MustParse("12Gi")},
}

// state states what quotas count and isn't stated yet: the API server refuses a pod
// that doesn't.
func (r *Rules) state(fit *corev1.ResourceRequirements) {
	for _, quota := range r.Quotas {
		for key, most := range quota.Spec.Hard {
			name, isLimit := strings.CutPrefix(string(key), "limits.")
			of := corev1.ResourceName(strings.TrimPrefix(name, "requests."))
			amounts, isKnown := usual[of]
			if !isKnown {
				continue
			}
			if _, is := fit.Limits[of]; isLimit && !is {
				request := fit.Requests[of]
				fit.Limits[of] = atLeast(atMost(amounts.limit, most), &request)
			}
			if _, is := fit.Requests[of]; !isLimit && !is {
				fit.Requests[of] = atMost(amounts.request, most)
			}
		}
	}
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

// LabelsLike are the labels of an application's pods for one that isn't the
// application's: no Service, and no controller, selects it by them, since those have
// another value, and no tool prunes it or puts a sidecar into it.
func (r *Rules) LabelsLike(w *workload.Workload, instead string) map[string]string {
	if w == nil || w.Object == nil {
		return map[string]string{}
	}
	own := w.Template.Labels
	like := workload.Unmarked(own)
	keys := w.SelectorKeys()
	for _, service := range r.Services {
		if selector := service.Spec.Selector; len(selector) > 0 && labels.SelectorFromSet(selector).Matches(labels.Set(own)) {
			keys = slices.AppendSeq(keys, maps.Keys(selector))
		}
	}
	for _, key := range keys {
		if _, ok := like[key]; ok {
			like[key] = instead
		}
	}
	maps.DeleteFunc(like, func(key, _ string) bool {
		return strings.Contains(key, "inject") || strings.HasPrefix(key, "istio.io/")
	})
	return like
}

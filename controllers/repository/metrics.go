package repository

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// The metrics of repositories. None has the name of one as a label.
var (
	repositoryHealthy = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "lull_repository_healthy",
		Help: "1 where all repositories of a namespace are ready and none is known to be damaged, else 0, by namespace.",
	}, []string{"namespace"})
	repositoryCopied = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "lull_repository_copied",
		Help: "1 where all exports of a namespace have the copies that spec.copyTo asks for, else 0, by namespace.",
	}, []string{"namespace"})
	repositorySize = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "lull_repository_size_bytes",
		Help: "Bytes that the repositories of a namespace take, as measured once a day, by namespace.",
	}, []string{"namespace"})
)

func init() { metrics.Registry.MustRegister(repositoryHealthy, repositoryCopied, repositorySize) }

// healthNow keeps the metrics that follow from the repositories that there are.
var healthNow = health{of: map[types.NamespacedName]state{}}

type health struct {
	mu sync.Mutex
	of map[types.NamespacedName]state
}

type state struct {
	healthy bool
	copied  bool
	bytes   float64
}

// note says how a repository is now. One that is gone has no UID.
func (h *health) note(key types.NamespacedName, r *v1alpha1.ResticRepository) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.UID == "" {
		delete(h.of, key)
	} else {
		conditions := r.Status.Conditions
		now := state{
			healthy: meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady) && !meta.IsStatusConditionFalse(conditions, v1alpha1.ConditionHealthy),
			copied:  !meta.IsStatusConditionFalse(conditions, v1alpha1.ConditionCopied),
		}
		if r.Status.Size != nil {
			now.bytes = float64(r.Status.Size.Value())
		}
		h.of[key] = now
	}
	h.tell(key.Namespace)
}

func (h *health) tell(namespace string) {
	healthy, copied, bytes, there := 1.0, 1.0, 0.0, false
	for key, of := range h.of {
		if key.Namespace != namespace {
			continue
		}
		there = true
		bytes += of.bytes
		if !of.healthy {
			healthy = 0
		}
		if !of.copied {
			copied = 0
		}
	}
	if !there {
		repositoryHealthy.DeleteLabelValues(namespace)
		repositoryCopied.DeleteLabelValues(namespace)
		repositorySize.DeleteLabelValues(namespace)
		return
	}
	repositoryHealthy.WithLabelValues(namespace).Set(healthy)
	repositoryCopied.WithLabelValues(namespace).Set(copied)
	repositorySize.WithLabelValues(namespace).Set(bytes)
}

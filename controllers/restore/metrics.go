package restore

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/restore"
)

// The metrics of restores.
var (
	downtimeSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "lull_restore_downtime_seconds",
		Help:    "Time from the scale-down of an application to its being ready again, of restores and of their undoing, in seconds.",
		Buckets: []float64{1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300, 600},
	})
	restoresTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lull_restores_total",
		Help: "Restores that ended, by result (Completed, RolledBack, Failed) and strategy.",
	}, []string{"result", "strategy"})
	fillsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lull_fills_total",
		Help: "Attempts to fill a claim by a mover that ended, by result (Done, or the cause).",
	}, []string{"result"})
	filledBytes = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lull_filled_bytes_total",
		Help: "Bytes that movers wrote into claims.",
	})
)

func noteFill(result resticexport.Result) {
	if !result.Done {
		fillsTotal.WithLabelValues(string(result.Cause)).Inc()
		return
	}
	fillsTotal.WithLabelValues("Done").Inc()
	if result.Restore != nil {
		filledBytes.Add(float64(result.Restore.Bytes))
	}
}

// downNow keeps lull_applications_down at what all restores there are say, whichever
// manager stopped their applications.
var downNow = &applicationsDown{
	gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "lull_applications_down",
		Help: "Applications that a restore, or its undoing, has stopped and that aren't ready again, now, by namespace.",
	}, []string{"namespace"}),
	down: map[types.NamespacedName]bool{},
}

type applicationsDown struct {
	gauge *prometheus.GaugeVec

	mu   sync.Mutex
	down map[types.NamespacedName]bool
}

// note says how a restore is now, empty where it is gone.
func (a *applicationsDown) note(key types.NamespacedName, v *v1alpha1.VolumeRestore) {
	a.mu.Lock()
	defer a.mu.Unlock()
	isDown := restore.IsDown(v)
	if a.down[key] == isDown {
		return
	}
	if delete(a.down, key); isDown {
		a.down[key] = true
	}
	count := 0
	for other := range a.down {
		if other.Namespace == key.Namespace {
			count++
		}
	}
	if count == 0 {
		a.gauge.DeleteLabelValues(key.Namespace)
		return
	}
	a.gauge.WithLabelValues(key.Namespace).Set(float64(count))
}

func init() {
	metrics.Registry.MustRegister(downtimeSeconds, restoresTotal, fillsTotal, filledBytes, downNow.gauge)
}

package restore

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	resticexport "github.com/lull-dev/lull/restic-export"
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

func init() {
	metrics.Registry.MustRegister(downtimeSeconds, restoresTotal, fillsTotal, filledBytes)
}

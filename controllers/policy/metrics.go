package policy

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// The metrics of policies.
var (
	skewSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "lull_policy_skew_seconds",
		Help:    "Time from when an application was due, with its part of the jitter, until its backup was created, in seconds.",
		Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 3600},
	})
	missedRuns = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lull_policy_missed_runs_total",
		Help: "Due times of policies that no backup was made for.",
	})
)

func init() { metrics.Registry.MustRegister(skewSeconds, missedRuns) }

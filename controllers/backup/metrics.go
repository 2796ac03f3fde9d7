package backup

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/cut"
)

// The metrics of backups. None has the name of an object as a label, so their
// number doesn't grow with what is backed up.
var (
	frozenSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "lull_backup_frozen_seconds",
		Help:    "Time from the first freeze to the last thaw of an attempt, in seconds.",
		Buckets: []float64{.05, .1, .2, .3, .5, .75, 1, 2, 5, 10, 30, 60, 300},
	})
	backupsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lull_backups_total",
		Help: "Backups that ended, by result (Completed, Failed) and consistency.",
	}, []string{"result", "consistency"})
	snapshotsInFlight = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "lull_snapshots_in_flight",
		Help: "Snapshots that are being cut, by driver.",
	}, []string{"driver"})
	frozenApplications = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "lull_frozen_applications",
		Help: "Applications that are being frozen, are frozen or being thawed, or that could not be thawed.",
	})
	exportsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lull_exports_total",
		Help: "Attempts to export a volume that ended, by result (Done, or why it wasn't).",
	}, []string{"result"})
	exportBytes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "lull_export_bytes_total",
		Help: "Bytes of exports, by direction (read: of volumes, uploaded: to repositories).",
	}, []string{"direction"})
	thawOverdue = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "lull_thaw_overdue_total",
		Help: "Attempts whose application was not known to be thawed by its deadline.",
	})
)

func init() {
	metrics.Registry.MustRegister(frozenSeconds, backupsTotal, successes, snapshotsInFlight, frozenApplications, thawOverdue, exportsTotal, exportBytes)
}

// noteMetrics keeps the metrics that follow from all backups there are, as one
// of them is now, empty where it is gone.
func noteMetrics(key types.NamespacedName, b *v1alpha1.VolumeBackup) {
	frozenNow.note(key, mayBeFrozen(b))
	if meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionComplete) {
		successes.note(series{key.Namespace, b.Labels[v1alpha1.LabelPolicy]}, b.Status.CompletionTime)
	}
}

func noteExport(result resticexport.Result) {
	if !result.Done {
		exportsTotal.WithLabelValues(string(result.Cause)).Inc()
		return
	}
	exportsTotal.WithLabelValues("Done").Inc()
	exportBytes.WithLabelValues("read").Add(float64(result.Backup.BytesProcessed))
	exportBytes.WithLabelValues("uploaded").Add(float64(result.Backup.BytesUploaded))
}

// frozenNow keeps frozenApplications at the number of backups whose attempt is
// not known to be thawed, whichever manager began it.
var frozenNow = openAttempts{gauge: frozenApplications, open: map[types.NamespacedName]bool{}}

type openAttempts struct {
	gauge prometheus.Gauge

	mu   sync.Mutex
	open map[types.NamespacedName]bool
}

// note says how a backup is now; q is nil where it is gone.
func (o *openAttempts) note(backup types.NamespacedName, q *v1alpha1.QuiesceStatus) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if q != nil && cut.Freezes(q.Method) && cut.Open(q) {
		o.open[backup] = true
	} else {
		delete(o.open, backup)
	}
	o.gauge.Set(float64(len(o.open)))
}

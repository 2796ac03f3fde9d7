package backup

import (
	"cmp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
)

// run is the work on one backup in one reconcile.
type run struct {
	*v1alpha1.VolumeBackup
	*reconcile.Scope[*v1alpha1.VolumeBackup]
	*Reconciler
}

// next is what the backup needs by its status. What its owner asked for where
// it can't be quieted is what the newest attempt recorded.
func (w *run) next() cut.Step {
	onFailure := v1alpha1.OnFailureFail
	if w.Status.Quiesce != nil {
		onFailure = w.Status.Quiesce.OnFailure
	}
	return cut.Next(w.VolumeBackup, onFailure)
}

// mayBeFrozen is the attempt whose pods may be frozen, nil where none was made.
func mayBeFrozen(b *v1alpha1.VolumeBackup) *v1alpha1.QuiesceStatus {
	return cmp.Or(b.Status.Unthawed, b.Status.Quiesce)
}

func microTime(t time.Time) *metav1.MicroTime {
	if t.IsZero() {
		return nil
	}
	m := metav1.NewMicroTime(t)
	return &m
}

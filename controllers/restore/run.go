package restore

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/controllers/reconcile"
)

// scope is one restore in one reconcile.
type scope = reconcile.Scope[*v1alpha1.VolumeRestore]

// run is the work on one restore in one reconcile.
type run struct {
	*Reconciler
	*scope
	// stop is nil until the application is seen stopped.
	stop *stoppedApplication
	// made are the changes of this reconcile.
	made map[string]bool
}

// live reads past the cache: what is decided by it deletes claims.
func (w *run) live() live.Reader { return live.Reader{Reader: w.Live} }

// condition is nil where it isn't set.
func condition(v *v1alpha1.VolumeRestore, kind string) *metav1.Condition {
	return meta.FindStatusCondition(v.Status.Conditions, kind)
}

func isTrue(v *v1alpha1.VolumeRestore, kind string) bool {
	return meta.IsStatusConditionTrue(v.Status.Conditions, kind)
}

func microTime(t time.Time) *metav1.MicroTime { return ptr.To(metav1.NewMicroTime(t)) }

package backup

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestFrozenApplicationsAreThoseNotKnownToBeThawed(t *testing.T) {
	o := openAttempts{gauge: prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"}), open: map[types.NamespacedName]bool{}}
	a, b := types.NamespacedName{Name: "a"}, types.NamespacedName{Name: "b"}
	thawed := metav1.NewMicroTime(time.Now())
	for i, c := range []struct {
		backup types.NamespacedName
		q      *v1alpha1.QuiesceStatus
		want   float64
	}{
		{a, nil, 0},
		{a, &v1alpha1.QuiesceStatus{Method: v1alpha1.MethodHold}, 1},
		{a, &v1alpha1.QuiesceStatus{Method: v1alpha1.MethodHold}, 1},
		{b, &v1alpha1.QuiesceStatus{Method: v1alpha1.MethodHooks, Failure: "the post-hook failed"}, 2},
		{a, &v1alpha1.QuiesceStatus{Method: v1alpha1.MethodHold, ThawedAt: &thawed}, 1},
		{a, &v1alpha1.QuiesceStatus{Method: v1alpha1.MethodIdle}, 1},
		{b, nil, 0},
	} {
		o.note(c.backup, c.q)
		if got := testutil.ToFloat64(o.gauge); got != c.want {
			t.Errorf("%d: %v, want %v", i, got, c.want)
		}
	}
}

package restore

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func aGauge() *applicationsDown {
	return &applicationsDown{
		gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "down"}, []string{"namespace"}),
		down:  map[types.NamespacedName]bool{},
	}
}

func TestApplicationsThatAreDownAreCounted(t *testing.T) {
	g, up := aGauge(), &v1alpha1.VolumeRestore{}
	down := &v1alpha1.VolumeRestore{}
	down.Status.Replicas = ptr.To[int32](1)
	down.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionApplicationReady, Status: metav1.ConditionFalse}}
	key := func(namespace, name string) types.NamespacedName {
		return types.NamespacedName{Namespace: namespace, Name: name}
	}
	note := func(k types.NamespacedName, v *v1alpha1.VolumeRestore, shops, banks float64) {
		t.Helper()
		g.note(k, v)
		g.note(k, v) // it is told each time that it is looked at
		if a, b := testutil.ToFloat64(g.gauge.WithLabelValues("shop")), testutil.ToFloat64(g.gauge.WithLabelValues("bank")); a != shops || b != banks {
			t.Errorf("%s: %v in shop and %v in bank, not %v and %v", k, a, b, shops, banks)
		}
	}
	note(key("shop", "a"), down, 1, 0)
	note(key("shop", "b"), down, 2, 0)
	note(key("bank", "a"), down, 2, 1)
	note(key("shop", "a"), up, 1, 1)
	note(key("shop", "b"), &v1alpha1.VolumeRestore{}, 0, 1) // it is gone
}

// A manager that has just started knows what the one before stopped.
func TestANewManagerKnowsWhatIsDown(t *testing.T) {
	before := downNow
	t.Cleanup(func() { downNow = before })
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.must(w.Create(context.Background(), aRestore(nil)))
	w.await(w.manager(), isAt("AwaitPodsGone"))
	downNow = aGauge()
	w.reconcile(w.manager())
	if got := testutil.ToFloat64(downNow.gauge.WithLabelValues(shop)); got != 1 {
		t.Errorf("while it is down: %v", got)
	}
	w.work(w.manager(), true)
	if got := testutil.ToFloat64(downNow.gauge.WithLabelValues(shop)); got != 0 {
		t.Errorf("once it is ready: %v", got)
	}
}

// Going back has failed, with the application stopped: it is down until somebody
// starts it.
func TestAnApplicationThatIsLeftStoppedIsDownUntilItIsStarted(t *testing.T) {
	before := downNow
	t.Cleanup(func() { downNow = before })
	downNow = aGauge()
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.broken = true
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	w.await(manager, func(v *v1alpha1.VolumeRestore) bool {
		return v.Status.RollBack != nil && w.claim("data-db-0") == nil
	})
	w.must(w.Delete(context.Background(), w.volume("pv-old")))
	v := w.work(manager, false)
	failedBecause(t, v, v1alpha1.RestoreFailed, v1alpha1.ReasonRollBackFailed, "pv-old is gone")
	if got := testutil.ToFloat64(downNow.gauge.WithLabelValues(shop)); got != 1 {
		t.Errorf("left stopped: %v", got)
	}
	w.scaleTo(1)
	w.reconcile(manager)
	if got := testutil.ToFloat64(downNow.gauge.WithLabelValues(shop)); got != 0 || !isAtRest(context.Background(), w.theRestore()) {
		t.Errorf("once somebody has started it: %v", got)
	}
}

package restore

import (
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/restore"
)

// countStops counts how often the manager scales the application to zero.
func (w *world) countStops() *int {
	stops := 0
	w.beforeWrite = func(verb string, obj client.Object) {
		var replicas *int32
		switch o := obj.(type) {
		case *appsv1.Deployment:
			replicas = o.Spec.Replicas
		case *appsv1.StatefulSet:
			replicas = o.Spec.Replicas
		}
		if verb == "patch" && replicas != nil && *replicas == 0 {
			stops++
		}
	}
	return &stops
}

// The operator of a database sets the replicas of its StatefulSet each time.
func TestAnApplicationThatSomebodyScalesUpEachTimeIsLeftToRun(t *testing.T) {
	for _, kind := range []v1alpha1.ApplicationKind{v1alpha1.KindStatefulSet, v1alpha1.KindDeployment} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t, kind, 1)
			w.must(w.Create(context.Background(), aRestore(func(v *v1alpha1.VolumeRestore) { v.Spec.ReadyTimeout = &metav1.Duration{Duration: 5 * time.Minute} })))
			w.fights = true
			stops := w.countStops()
			started := w.clock.Now()
			v := w.work(w.manager(), true)
			failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonScaledUpAgain, "was told to stop 3 times and was scaled up again each time, by ")
			if *stops > 5 || w.clock.Since(started) > 2*time.Minute || !w.isRunning() || w.mounted() != "pv-old" {
				t.Errorf("%d stops, two dry runs among them, in %s: %s", *stops, w.clock.Since(started), w.state())
			}
		})
	}
}

// Somebody who has scaled it up once is no matter.
func TestAnApplicationThatSomebodyScalesUpOnceIsRestored(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	w.await(manager, isAt(restore.StepAwaitPodsGone))
	w.scaleTo(1)
	if v := w.work(manager, true); v.Status.Phase != v1alpha1.RestoreCompleted || v.Status.Stops != 2 {
		t.Errorf("%s after %d stops: %s", v.Status.Phase, v.Status.Stops, v.Status.Message)
	}
}

func TestAWayBackThatSomebodyFightsIsCalledOff(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	v := w.work(manager, true)
	w.fights = true
	w.ask(v)
	v = w.work(manager, true)
	if v.Status.Phase != v1alpha1.RestoreCompleted || !strings.Contains(v.Status.Message, "scaled up again each time, by somebody: pause what does that meanwhile. The application has its restored volumes, as before") || !w.isRunning() {
		t.Errorf("%s: %s: %s", v.Status.Phase, v.Status.Message, w.state())
	}
	w.fights = false
	w.askAnew(v)
	if v = w.work(manager, true); v.Status.Phase != v1alpha1.RestoreRolledBack || w.mounted() != "pv-old" {
		t.Errorf("asked again: %s: %s", v.Status.Phase, v.Status.Message)
	}
}

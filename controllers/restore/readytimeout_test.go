package restore

import (
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// An application that can't be ready within readyTimeout by its own settings is
// healthy all the same.
func TestWhatReadyTakesAtLeastComesOnTop(t *testing.T) {
	short := func(v *v1alpha1.VolumeRestore) { v.Spec.ReadyTimeout = &metav1.Duration{Duration: 20 * time.Second} }
	w := newCluster(t, v1alpha1.KindDeployment)
	w.startup = 130 * time.Second
	w.changeDeployment(func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = 125 })
	w.must(w.Create(context.Background(), aRestore(short)))
	if v := w.run(); v.Status.Phase != v1alpha1.RestoreCompleted || v.Status.RollBack != nil {
		t.Errorf("%s: %s", v.Status.Phase, v.Status.Message)
	}
}

// On the way back too: nothing would be tried after that.
func TestTheWayBackHasTheTimeThatReadyTakesAtLeast(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	w.startup = 130 * time.Second
	w.changeDeployment(func(d *appsv1.Deployment) { d.Spec.MinReadySeconds = 125 })
	w.broken = true
	w.must(w.Create(context.Background(), aRestore(func(v *v1alpha1.VolumeRestore) {
		v.Spec.ReadyTimeout = &metav1.Duration{Duration: 5 * time.Second}
	})))
	v := w.run()
	failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonReadyTimeout, "was not ready within 2m10s")
	if v.Status.RollBack.ReadyAt == nil || !strings.Contains(v.Status.Message, "on top of the 2m5s that it takes at least: minReadySeconds: 125") {
		t.Errorf("ready at %v: %s", v.Status.RollBack.ReadyAt, v.Status.Message)
	}
}

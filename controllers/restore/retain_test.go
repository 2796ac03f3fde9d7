package restore

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/restore"
)

// othersThanPrevious are the volumes that are there but the previous one.
func (w *world) othersThanPrevious() (left []string) {
	var all corev1.PersistentVolumeList
	w.must(w.List(context.Background(), &all))
	for _, v := range all.Items {
		if v.Name != "pv-old" {
			left = append(left, v.Name)
		}
	}
	return left
}

// The class keeps volumes whose claim is gone. Nobody asked for one to be kept that
// was only made for the restore.
func TestAVolumeThatTheApplicationNeverRanOnGoesWhateverItsClass(t *testing.T) {
	for name, c := range map[string]struct {
		kind  v1alpha1.ApplicationKind
		spoil func(*world, *Reconciler)
	}{
		"its claims can't be mounted": {v1alpha1.KindStatefulSet, func(w *world, _ *Reconciler) {
			w.beforeWrite = func(verb string, _ client.Object) {
				if v := w.theRestore(); v != nil && v.Status.Step == string(restore.StepCheckMounts) && verb == "create" {
					w.ask(v)
				}
			}
		}},
		"undone before the stop, by Repoint": {v1alpha1.KindDeployment, func(w *world, m *Reconciler) {
			w.ask(w.await(m, isAt(restore.StepEndMountCheck)))
		}},
		"undone before the stop, by Replace": {v1alpha1.KindStatefulSet, func(w *world, m *Reconciler) {
			w.ask(w.await(m, isAt(restore.StepReserveVolumes)))
		}},
		"undone after the stop": {v1alpha1.KindStatefulSet, func(w *world, m *Reconciler) {
			w.holdPod(5 * time.Second)
			w.ask(w.await(m, isAt(restore.StepAwaitPodsGone)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.kind, 1)
			w.retains = true
			w.must(w.Create(context.Background(), aRestore(nil)))
			manager := w.manager()
			c.spoil(w, manager)
			v := w.work(manager, true)
			if left := w.othersThanPrevious(); v.Status.Phase != v1alpha1.RestoreRolledBack || len(left) > 0 || w.mounted() != "pv-old" {
				t.Errorf("%s: %s; left: %v: %s", v.Status.Phase, v.Status.Message, left, w.state())
			}
			if v.Status.ScaledUpAt != nil {
				t.Error("it has run on it")
			}
		})
	}
}

func TestAVolumeThatTheApplicationRanOnIsKept(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.retains = true
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	w.ask(w.work(manager, true))
	v := w.work(manager, true)
	if left := w.othersThanPrevious(); v.Status.Phase != v1alpha1.RestoreRolledBack || len(left) != 1 {
		t.Errorf("%s: %s; left: %v", v.Status.Phase, v.Status.Message, left)
	}
}

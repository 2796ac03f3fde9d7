package restore

import (
	"context"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// refuse has a policy refuse some changes from now on.
func (w *fakeCluster) refuse(which func(client.Object, client.Patch) bool) {
	w.denies = func(obj client.Object, patch client.Patch) error {
		if which(obj, patch) {
			return denial
		}
		return nil
	}
}

func deletesClaim(obj client.Object, patch client.Patch) bool {
	_, isClaim := obj.(*corev1.PersistentVolumeClaim)
	return isClaim && patch == nil
}

func reservesPrevious(obj client.Object, patch client.Patch) bool {
	v, isVolume := obj.(*corev1.PersistentVolume)
	return isVolume && patch != nil && v.Name == "pv-old" && v.Spec.ClaimRef != nil && v.Spec.ClaimRef.UID == ""
}

// wantCalledOff checks a restore that stays complete though its undoing was asked
// for.
func (w *world) wantCalledOff(t *testing.T, v *v1alpha1.VolumeRestore, reason string) {
	t.Helper()
	refused := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionRolledBack)
	if v.Status.Phase != v1alpha1.RestoreCompleted || v.Status.RollBack != nil || refused == nil || refused.Reason != reason || !strings.Contains(v.Status.Message, "freeze-friday") {
		t.Errorf("%s: %s: %+v", v.Status.Phase, v.Status.Message, refused)
	}
	if !w.isRunning() || w.mounted() != v.Status.Claims[0].RestoredVolume {
		t.Errorf("it doesn't run on what it had: %s", w.state())
	}
	if has := w.volume(w.mounted()); has.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete || len(has.Labels) > 0 {
		t.Errorf("its volume isn't as it was: %s, %v", has.Spec.PersistentVolumeReclaimPolicy, has.Labels)
	}
}

func TestAWayBackThatWouldBeRefusedStopsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		kind    v1alpha1.ApplicationKind
		refused func(client.Object, client.Patch) bool
	}{
		"the scaling":                       {v1alpha1.KindStatefulSet, changesWorkload},
		"the change of the template":        {v1alpha1.KindDeployment, repointsNow},
		"the deletion of a claim":           {v1alpha1.KindStatefulSet, deletesClaim},
		"the change of the previous volume": {v1alpha1.KindStatefulSet, reservesPrevious},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.kind, 1)
			w.must(w.Create(context.Background(), aRestore(nil)))
			manager := w.manager()
			v := w.work(manager, true)
			w.deniesDryRuns = true
			w.refuse(c.refused)
			pod := w.own()[0].UID
			w.ask(v)
			v = w.work(manager, true)
			w.wantCalledOff(t, v, v1alpha1.ReasonChangeRefused)
			if !strings.HasSuffix(v.Status.Message, "Nothing was touched") || w.own()[0].UID != pod {
				t.Errorf("it was stopped: %s", v.Status.Message)
			}
			w.denies = nil
			v.Spec.RollBack = false
			w.must(w.Update(context.Background(), v))
			w.work(manager, true)
			w.must(w.Get(context.Background(), client.ObjectKeyFromObject(v), v))
			w.ask(v)
			if v = w.work(manager, true); v.Status.Phase != v1alpha1.RestoreRolledBack || w.mounted() != "pv-old" {
				t.Errorf("asked again: %s: %s", v.Status.Phase, v.Status.Message)
			}
		})
	}
}

// What is refused only of the application as it will be, once it was stopped, would
// leave it down.
func TestAStartThatWouldBeRefusedStopsNothing(t *testing.T) {
	hasReplicas := func(obj client.Object) bool {
		switch o := obj.(type) {
		case *appsv1.Deployment:
			return *o.Spec.Replicas > 0
		case *appsv1.StatefulSet:
			return *o.Spec.Replicas > 0
		}
		return false
	}
	for _, kind := range []v1alpha1.ApplicationKind{v1alpha1.KindDeployment, v1alpha1.KindStatefulSet} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t, kind, 1)
			w.must(w.Create(context.Background(), aRestore(nil)))
			w.deniesDryRuns = true
			w.refuse(func(obj client.Object, _ client.Patch) bool { return hasReplicas(obj) })
			pod := w.own()[0].UID
			v := w.work(w.manager(), true)
			failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonChangeRefused, "freeze-friday")
			if v.Status.ScaledDownAt != nil || len(w.own()) != 1 || w.own()[0].UID != pod {
				t.Errorf("it was stopped: %s", w.state())
			}
		})
	}
}

// A webhook that knows no dry runs, or a policy that has come since.
func TestAWayBackThatIsRefusedAfterTheStopIsCalledOff(t *testing.T) {
	for name, refused := range map[string]func(client.Object, client.Patch) bool{
		"the deletion of a claim":           deletesClaim,
		"the change of the previous volume": reservesPrevious,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, v1alpha1.KindStatefulSet, 1)
			w.must(w.Create(context.Background(), aRestore(nil)))
			manager := w.manager()
			v := w.work(manager, true)
			w.refuse(refused)
			w.ask(v)
			w.wantCalledOff(t, w.work(manager, true), v1alpha1.ReasonAPIError)
		})
	}
}

func TestAWayBackWhosePreviousVolumeGoesAfterTheStopIsCalledOff(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	w.ask(w.work(manager, true))
	w.await(manager, isAt("AwaitPodsGone"))
	w.must(w.Delete(context.Background(), w.volume("pv-old")))
	w.tick()
	v := w.work(manager, true)
	if v.Status.Phase != v1alpha1.RestoreCompleted || !w.isRunning() || !strings.Contains(v.Status.Message, "PersistentVolume pv-old is gone") {
		t.Errorf("%s: %s: %s", v.Status.Phase, v.Status.Message, w.state())
	}
}

// What it goes back from isn't ready, and is more than nothing.
func TestAnApplicationThatCantGoBackByItselfIsStartedOnWhatItHas(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 2)
	w.broken = true
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	w.await(manager, func(v *v1alpha1.VolumeRestore) bool { return v.Status.RollBack != nil })
	w.refuse(deletesClaim)
	v := w.work(manager, false)
	failedBecause(t, v, v1alpha1.RestoreFailed, v1alpha1.ReasonRollBackFailed, "freeze-friday")
	if !w.isRunning() || w.mounted() != v.Status.Claims[0].RestoredVolume || !strings.Contains(v.Status.Message, "started again on its restored volumes") {
		t.Errorf("%s: %s", v.Status.Message, w.state())
	}
	w.denies = nil
	w.ask(v)
	if v = w.work(manager, true); v.Status.Phase != v1alpha1.RestoreRolledBack || w.mounted() != "pv-old" {
		t.Errorf("asked once it may: %s: %s", v.Status.Phase, v.Status.Message)
	}
}

// One claim is back and the policy has come since: there is no way but on.
func TestAWayBackThatIsRefusedHalfWayGoesOnOnceItIsAllowed(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 2)
	w.broken = true
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	w.await(manager, func(v *v1alpha1.VolumeRestore) bool { return v.Status.RollBack != nil })
	w.refuse(func(obj client.Object, patch client.Patch) bool {
		return deletesClaim(obj, patch) && obj.GetName() == "data-db-1"
	})
	var v *v1alpha1.VolumeRestore
	for range 4 { // an error is tried again sooner than a wait
		v = w.work(manager, true)
	}
	failedBecause(t, v, v1alpha1.RestoreFailed, v1alpha1.ReasonRollBackFailed, "freeze-friday says no. Once that is mended it goes on by itself")
	w.denies = nil
	if v = w.work(manager, false); v.Status.Phase != v1alpha1.RestoreRolledBack || !w.isRunning() || w.mounted() != "pv-old" {
		t.Errorf("%s: %s: %s", v.Status.Phase, v.Status.Message, w.state())
	}
}

// Asked of a restore that has failed to go back, a way back that is refused is
// refused once.
func TestARefusalIsToldOnce(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.broken = true
	w.must(w.Create(context.Background(), aRestore(leaves)))
	manager := w.manager()
	v := w.work(manager, true)
	w.deniesDryRuns = true
	w.refuse(deletesClaim)
	w.ask(v)
	v = w.work(manager, true)
	writes := w.writes
	w.reconcile(manager)
	if v.Status.Phase != v1alpha1.RestoreFailed || !w.isRunning() || !strings.Contains(v.Status.Message, "freeze-friday") || w.writes != writes {
		t.Errorf("%s after %d more writes: %s", v.Status.Phase, w.writes-writes, v.Status.Message)
	}
}

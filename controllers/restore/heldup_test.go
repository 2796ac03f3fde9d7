package restore

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/restore"
)

// await lets the manager look until something is so.
func (w *world) await(manager *Reconciler, is func(*v1alpha1.VolumeRestore) bool) *v1alpha1.VolumeRestore {
	w.t.Helper()
	var v *v1alpha1.VolumeRestore
	for range 400 {
		if v = w.reconcile(manager); is(v) {
			return v
		}
	}
	w.t.Fatalf("it doesn't come to it: %s at %s: %s", v.Status.Phase, v.Status.Step, v.Status.Message)
	return nil
}

func isAt(step restore.StepName) func(*v1alpha1.VolumeRestore) bool {
	return func(v *v1alpha1.VolumeRestore) bool { return v.Status.Step == string(step) }
}

// A Job is due while the application stops.
func TestAPodTakesTheClaimWhileTheApplicationStops(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 2)
	w.must(w.Create(context.Background(), aRestore(leaves)))
	manager := w.manager()
	w.holdPod(10 * time.Second)
	w.await(manager, isAt(restore.StepAwaitPodsGone))
	w.job("job", "data-db-1", forever, true)
	before := w.claim("data-db-0").UID
	v := w.work(manager, true)
	failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonClaimInUse, "pod job, of another application, uses PersistentVolumeClaim data-db-1 by now")
	if w.claim("data-db-0").UID != before || !w.isRunning() {
		t.Errorf("it isn't as it was: %s", w.state())
	}
}

// A Job is due while the application stops, and gets a node only once that has made
// room: it would run on the restored volume.
func TestAPodThatWaitsForTheClaimIsSeenBeforeItIsReplaced(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 2)
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	w.holdPod(10 * time.Second)
	w.await(manager, isAt(restore.StepAwaitPodsGone))
	w.job("job", "data-db-1", forever, false)
	before := w.claim("data-db-0").UID
	w.beforeWrite = func(verb string, obj client.Object) {
		if _, isClaim := obj.(*corev1.PersistentVolumeClaim); isClaim && verb == "delete" && obj.GetUID() == before {
			t.Error("a claim was deleted all the same")
		}
	}
	for _, p := range w.pods() { // whether it gets its node then is a matter of moments
		if p.Name == "job" {
			p.Labels["waits"] = "for ever"
			w.must(w.Update(context.Background(), &p))
		}
	}
	v := w.work(manager, true)
	failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonClaimInUse, "it waits for a node, and may get one once the application is stopped: delete it first (kubectl delete pod -n shop job)")
	if !w.isRunning() || w.mounted() != "pv-old" {
		t.Errorf("it isn't as it was: %s", w.state())
	}
}

// A Job's pod gets its node between the last look at the pods and the deletion of
// its claim: it can't start, and holds the claim.
func TestAPodThatTakesTheClaimAtTheLastMomentIsNamed(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.must(w.Create(context.Background(), aRestore(nil)))
	done := false
	w.beforeWrite = func(verb string, obj client.Object) {
		if _, isClaim := obj.(*corev1.PersistentVolumeClaim); !done && isClaim && verb == "delete" && obj.GetName() == "data-db-0" && len(w.own()) == 0 {
			done = true
			w.job("job", "data-db-0", forever, true)
		}
	}
	manager := w.manager()
	v := w.await(manager, func(v *v1alpha1.VolumeRestore) bool {
		return strings.Contains(v.Status.Message, "the old claim data-db-0 is gone (held by ")
	})
	if !strings.Contains(v.Status.Message, "kubectl delete pod -n shop job") || v.Status.RollBack != nil {
		t.Errorf("it isn't told at once who holds it: %s", v.Status.Message)
	}
	v = w.work(manager, true)
	failedBecause(t, v, v1alpha1.RestoreFailed, v1alpha1.ReasonRollBackFailed, "kubectl delete pod -n shop job")
	w.lift()
	if v = w.work(manager, false); v.Status.Phase != v1alpha1.RestoreRolledBack || !w.isRunning() || w.mounted() != "pv-old" {
		t.Errorf("%s: %s: %s", v.Status.Phase, v.Status.Message, w.state())
	}
}

// heldUp is a restore by Replace that isn't ready, and whose way back a pod of
// another application is in, as a person is told.
func heldUp(t *testing.T) (*world, *Reconciler) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.broken = true
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	w.await(manager, func(v *v1alpha1.VolumeRestore) bool { return v.Status.RollBack != nil })
	w.job("job", "data-db-0", forever, true)
	v := w.work(manager, true)
	failedBecause(t, v, v1alpha1.RestoreFailed, v1alpha1.ReasonRollBackFailed, "kubectl delete pod -n shop job. Once that is mended it goes on by itself")
	if v.Status.RollBack.EndedAt != nil || w.claim("data-db-0").DeletionTimestamp != nil {
		t.Errorf("it isn't waited for, or its claim is going: %s", w.state())
	}
	return w, manager
}

func TestAWayBackThatIsHeldUpGoesOnOnceItCan(t *testing.T) {
	w, manager := heldUp(t)
	w.lift()
	v := w.work(manager, false)
	failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonReadyTimeout, "was not ready within")
	if meta.IsStatusConditionTrue(v.Status.Conditions, v1alpha1.ConditionStalled) || !w.isRunning() || w.mounted() != "pv-old" {
		t.Errorf("%s: %s", v.Status.Message, w.state())
	}
}

func TestAnApplicationThatAPersonHasStartedIsntStoppedAgain(t *testing.T) {
	w, manager := heldUp(t)
	w.scaleTo(1)
	v := w.work(manager, false)
	failedBecause(t, v, v1alpha1.RestoreFailed, v1alpha1.ReasonRollBackFailed, "somebody has started the application, which is left as it is from here")
	if v.Status.RollBack.EndedAt == nil || !w.isRunning() {
		t.Errorf("%s: %s", v.Status.Message, w.state())
	}
}

func TestARollBackWhoseClaimIsTakenIsCalledOff(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	w.ask(w.work(manager, true))
	w.holdPod(10 * time.Second)
	w.await(manager, isAt(restore.StepAwaitPodsGone))
	w.job("job", "data-db-0", time.Minute, true)
	v := w.work(manager, true)
	refused := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionRolledBack)
	if v.Status.Phase != v1alpha1.RestoreCompleted || v.Status.RollBack != nil || refused.Reason != v1alpha1.ReasonClaimInUse || !strings.Contains(v.Status.Message, "kubectl delete pod -n shop job") && !strings.Contains(v.Status.Message, "pod job") {
		t.Errorf("%s: %s: %+v", v.Status.Phase, v.Status.Message, refused)
	}
	if !w.isRunning() || w.mounted() != v.Status.Claims[0].RestoredVolume {
		t.Errorf("it doesn't run on what it had: %s", w.state())
	}
	w.letGo("pod/job")
	v.Spec.RollBack = false
	w.must(w.Update(context.Background(), v))
	w.work(manager, true)
	w.must(w.Get(context.Background(), client.ObjectKeyFromObject(v), v))
	w.ask(v)
	if v = w.work(manager, true); v.Status.Phase != v1alpha1.RestoreRolledBack || w.mounted() != "pv-old" {
		t.Errorf("asked again: %s: %s", v.Status.Phase, v.Status.Message)
	}
}

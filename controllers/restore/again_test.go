package restore

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// remakeRestore deletes the restore and makes it anew, as whoever applies its manifest does.
func (w *world) remakeRestore(manager *Reconciler, change func(*v1alpha1.VolumeRestore)) {
	w.t.Helper()
	w.must(w.Delete(context.Background(), w.theRestore()))
	w.work(manager, true)
	if w.theRestore() != nil {
		w.t.Fatal("it didn't go")
	}
	anew := aRestore(change)
	anew.UID = types.UID("uid-restore-anew")
	w.must(w.Create(context.Background(), anew))
}

func TestARestoreThatIsAppliedAgainStopsNothing(t *testing.T) {
	for _, kind := range []v1alpha1.ApplicationKind{v1alpha1.KindDeployment, v1alpha1.KindStatefulSet} {
		for name, prune := range map[string]bool{"": false, ", its annotations taken off": true} {
			t.Run(string(kind)+name, func(t *testing.T) {
				w := newWorld(t, kind, 1)
				w.must(w.Create(context.Background(), aRestore(nil)))
				manager := w.manager()
				w.work(manager, true)
				if prune {
					obj := w.theWorkload()
					obj.SetAnnotations(nil)
					w.must(w.Update(context.Background(), obj))
				}
				pod := w.own()[0].UID
				w.remakeRestore(manager, nil)
				v := w.work(manager, true)
				failedBecause(t, v, v1alpha1.RestoreFailed, v1alpha1.ReasonAlreadyRestored, "spec.again: true")
				if v.Status.ScaledDownAt != nil || w.own()[0].UID != pod {
					t.Errorf("it was stopped again: %s", w.state())
				}
				w.remakeRestore(manager, func(v *v1alpha1.VolumeRestore) { v.Spec.Again = true })
				if v = w.work(manager, true); v.Status.Phase != v1alpha1.RestoreCompleted || w.own()[0].UID == pod {
					t.Errorf("asked for again: %s: %s", v.Status.Phase, v.Status.Message)
				}
			})
		}
	}
}

// One that came to nothing before the stop is no matter.
func TestARestoreThatStoppedNothingMayBeAppliedAgain(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.must(w.Create(context.Background(), aRestore(nil)))
	w.deniesDryRuns = true
	w.refuse(changesWorkload)
	manager := w.manager()
	failedBecause(t, w.work(manager, true), v1alpha1.RestoreRolledBack, v1alpha1.ReasonChangeRefused, "freeze-friday")
	w.denies = nil
	w.remakeRestore(manager, nil)
	if v := w.work(manager, true); v.Status.Phase != v1alpha1.RestoreCompleted {
		t.Errorf("%s: %s", v.Status.Phase, v.Status.Message)
	}
}

func TestARestoreThatVeleroPutsBackIsLeftAlone(t *testing.T) {
	put := func(v *v1alpha1.VolumeRestore) { v.Labels = map[string]string{v1alpha1.LabelVelero: "monday"} }
	for name, status := range map[string]func(*world, *v1alpha1.VolumeRestore){
		"without its status": func(*world, *v1alpha1.VolumeRestore) {},
		"with its status, in the middle": func(w *world, v *v1alpha1.VolumeRestore) {
			at := metav1.NewMicroTime(w.clock.Now())
			v.Status.StartTime = &metav1.Time{Time: w.clock.Now().Add(-time.Hour)}
			v.Status.Strategy, v.Status.ScaledDownAt = v1alpha1.StrategyReplace, &at
			v.Status.Application = &v1alpha1.ApplicationReference{Kind: v1alpha1.KindStatefulSet, Name: "db"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, v1alpha1.KindStatefulSet, 1)
			v := aRestore(put)
			w.must(w.Create(context.Background(), v))
			status(w, v)
			w.must(w.Status().Update(context.Background(), v))
			pod, manager := w.own()[0].UID, w.manager()
			v = w.work(manager, true)
			failedBecause(t, v, v1alpha1.RestoreFailed, v1alpha1.ReasonPutBack, "it was put back by Velero's Restore monday")
			w.must(w.Delete(context.Background(), v))
			w.work(manager, true)
			if len(w.own()) != 1 || w.own()[0].UID != pod || w.theRestore() != nil || len(w.claims()) != 1 {
				t.Errorf("it wasn't left alone: %s", w.state())
			}
		})
	}
}

// The label on one that was begun here changes nothing.
func TestTheLabelOfVeleroStopsNoRestore(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	v := w.await(manager, isAt("AwaitPodsGone"))
	v.Labels = map[string]string{v1alpha1.LabelVelero: "monday"}
	w.must(w.Update(context.Background(), v))
	if v = w.work(manager, true); v.Status.Phase != v1alpha1.RestoreCompleted {
		t.Errorf("%s: %s", v.Status.Phase, v.Status.Message)
	}
}

// A volume of the previous one's name, and other data: as an administrator makes it by
// hand.
func TestOtherDataUnderThePreviousNameIsntGoneBackTo(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	old := w.volume("pv-old")
	old.UID = "uid-of-old"
	w.must(w.Update(context.Background(), old))
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	v := w.work(manager, true)
	pod := w.own()[0].UID
	w.must(w.Delete(context.Background(), w.volume("pv-old")))
	w.tick()
	another := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-old", Labels: old.Labels}, Spec: old.Spec}
	another.Labels = map[string]string{v1alpha1.LabelRestoreUID: string(v.UID)}
	w.must(w.Create(context.Background(), another))
	w.ask(v)
	v = w.work(manager, true)
	refused := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionRolledBack)
	if v.Status.Phase != v1alpha1.RestoreCompleted || refused == nil || refused.Reason != v1alpha1.ReasonPreviousGone || !strings.Contains(refused.Message, "was made anew by somebody") || w.own()[0].UID != pod {
		t.Errorf("%s: %+v", v.Status.Phase, refused)
	}
}

// The claim was deleted and made anew: its name leads to other data, and the previous
// volume is given back all the same, under another one.
func TestAPreviousClaimThatWasMadeAnewIsntGoneBackTo(t *testing.T) {
	w := newWorld(t, v1alpha1.KindDeployment, 1)
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	v := w.work(manager, true)
	w.deleteClaim("data")
	w.remade["data"] = true
	for w.claim("data") == nil || w.claim("data").Status.Phase != corev1.ClaimBound || w.claim("data").Spec.VolumeName == "pv-old" {
		w.tick()
	}
	w.ask(v)
	if v = w.work(manager, true); v.Status.Phase != v1alpha1.RestoreRolledBack || w.mounted() != "pv-old" {
		t.Errorf("%s: %s: it runs on %s", v.Status.Phase, v.Status.Message, w.mounted())
	}
}

func TestWhatARestoreKeepsIsLetGoAsAsked(t *testing.T) {
	for _, kind := range []v1alpha1.ApplicationKind{v1alpha1.KindDeployment, v1alpha1.KindStatefulSet} {
		for name, undo := range map[string]bool{"complete": false, "undone": true} {
			t.Run(string(kind)+", "+name, func(t *testing.T) {
				w := newWorld(t, kind, 1)
				w.must(w.Create(context.Background(), aRestore(nil)))
				manager := w.manager()
				v := w.work(manager, true)
				if undo {
					w.ask(v)
					v = w.work(manager, true)
				}
				pod, runsOn := w.own()[0].UID, w.mounted()
				w.release(v, true)
				v = w.work(manager, true)
				if !isTrue(v, v1alpha1.ConditionPreviousReleased) || !strings.Contains(v.Status.Message, "1 volume(s) were let go") || !isAtRest(context.Background(), v) {
					t.Errorf("%s: %+v", v.Status.Message, v.Status.Conditions)
				}
				var left corev1.PersistentVolumeList
				w.must(w.List(context.Background(), &left))
				if len(left.Items) != 1 || left.Items[0].Name != runsOn || len(w.claims()) != 1 || w.own()[0].UID != pod || w.mounted() != runsOn {
					t.Errorf("what is in use is all that is left: %d volumes, %d claims: %s", len(left.Items), len(w.claims()), w.state())
				}
			})
		}
	}
}

func TestAManagerMayDieWhileItLetsGo(t *testing.T) {
	for die, writes := 0, 1; die <= writes && !t.Failed(); die++ {
		w := newCluster(t, v1alpha1.KindDeployment)
		w.must(w.Create(context.Background(), aRestore(nil)))
		v := w.run()
		w.writes, w.dieAt = 0, die
		v.Spec.ReleasePrevious = true
		v.Generation++
		w.must(w.Update(context.Background(), v))
		v, writes = w.run(), w.writes
		w.tick()
		if !isTrue(v, v1alpha1.ConditionPreviousReleased) || w.volume("pv-old") != nil || w.claim("data") != nil || w.mounted() != v.Status.Claims[0].RestoredVolume {
			t.Errorf("dying at write %d: %s: it runs on %s; kept: %+v, %+v", die, v.Status.Message, w.mounted(), w.volume("pv-old"), w.claim("data"))
		}
	}
}

func TestWhatIsInUseIsntLetGo(t *testing.T) {
	w := newWorld(t, v1alpha1.KindDeployment, 1)
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	v := w.work(manager, true)
	w.job("report", "data", forever, true)
	w.release(v, true)
	v = w.work(manager, true)
	answer := condition(v, v1alpha1.ConditionPreviousReleased)
	if answer == nil || answer.Reason != v1alpha1.ReasonClaimInUse || w.claim("data") == nil || w.volume("pv-old") == nil || !isAtRest(context.Background(), v) {
		t.Fatalf("%+v", answer)
	}
	w.release(v, false)
	if v = w.work(manager, true); condition(v, v1alpha1.ConditionPreviousReleased) != nil || isTrue(v, v1alpha1.ConditionStalled) {
		t.Errorf("not asked any more: %+v", v.Status.Conditions)
	}
	w.letGo("pod/report")
	w.tick()
	w.release(v, true)
	if v = w.work(manager, true); !isTrue(v, v1alpha1.ConditionPreviousReleased) || w.claim("data") != nil || w.volume("pv-old") != nil {
		t.Errorf("asked again: %+v", v.Status.Conditions)
	}
}

func (w *world) release(v *v1alpha1.VolumeRestore, asked bool) {
	v.Spec.ReleasePrevious = asked
	w.must(w.Update(context.Background(), v))
}

// theWorkload is the application's.
func (w *world) theWorkload() client.Object {
	w.t.Helper()
	obj := map[v1alpha1.ApplicationKind]client.Object{v1alpha1.KindDeployment: w.deployment(), v1alpha1.KindStatefulSet: w.statefulSet()}[w.kind]
	if obj.GetUID() == "" {
		w.t.Fatal("it is gone")
	}
	return obj
}

package restore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/restore"
)

// at is what somebody does once, when a restore has come to a step.
func at(step restore.StepName, do func(*v1alpha1.VolumeRestore)) func(*v1alpha1.VolumeRestore) {
	done := false
	return func(v *v1alpha1.VolumeRestore) {
		if !done && v.Status.Step == string(step) {
			done = true
			do(v)
		}
	}
}

func (w *fakeCluster) deployment() *appsv1.Deployment {
	d := &appsv1.Deployment{}
	w.must(w.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: "db"}, d))
	return d
}

// changeDeployment changes it as its owner does.
func (w *fakeCluster) changeDeployment(change func(*appsv1.Deployment)) {
	w.t.Helper()
	d := w.deployment()
	change(d)
	d.Generation++
	w.must(w.Update(context.Background(), d))
}

func (w *fakeCluster) claim(name string) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{}
	if w.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: name}, c) != nil {
		return nil
	}
	return c
}

func (w *fakeCluster) volume(name string) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{}
	if w.Get(context.Background(), client.ObjectKey{Name: name}, v) != nil {
		return nil
	}
	return v
}

// failedBecause checks why a restore came to nothing.
func failedBecause(t *testing.T, v *v1alpha1.VolumeRestore, phase v1alpha1.RestorePhase, reason, says string) {
	t.Helper()
	failed := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionFailed)
	if v.Status.Phase != phase || failed == nil || failed.Reason != reason || !strings.Contains(failed.Message, says) {
		t.Errorf("want %s because of %s, %q; got %s: %+v", phase, reason, says, v.Status.Phase, failed)
	}
}

// Without a volume to point at the new claim nothing would be restored, and the
// claim that the application still runs on be let go.
func TestAVolumeIsRenamedMeanwhile(t *testing.T) {
	for _, step := range []restore.StepName{restore.StepCheckMounts, restore.StepAwaitPodsGone} {
		t.Run(string(step), func(t *testing.T) {
			w := newCluster(t, v1alpha1.KindDeployment)
			w.must(w.Create(context.Background(), aRestore(func(v *v1alpha1.VolumeRestore) { v.Spec.PreviousClaims = v1alpha1.PreviousDelete })))
			w.meanwhile = at(step, func(*v1alpha1.VolumeRestore) {
				w.changeDeployment(func(d *appsv1.Deployment) { d.Spec.Template.Spec.Volumes[0].Name = "renamed" })
			})
			v := w.run()
			failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonClaimNotMounted, "its volume data doesn't mount claim data any more")
			if stopped := v.Status.ScaledDownAt != nil; stopped != (step == restore.StepAwaitPodsGone) {
				t.Errorf("stopped: %v", stopped)
			}
			if claim := w.claim("data"); claim == nil || !claim.DeletionTimestamp.IsZero() || w.mounted() != "pv-old" || *w.deployment().Spec.Replicas != 1 {
				t.Errorf("it runs on %q; its claim: %+v", w.mounted(), claim)
			}
			if made := w.claim(v.Status.Claims[0].RestoredClaim); made != nil {
				t.Errorf("what was made and not used is left: %+v", made)
			}
		})
	}
}

// The owner mounts the previous claim by another volume too, once it isn't
// needed by the restore any more.
func TestAPreviousClaimThatIsMountedAgainStays(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	w.must(w.Create(context.Background(), aRestore(func(v *v1alpha1.VolumeRestore) { v.Spec.PreviousClaims = v1alpha1.PreviousDelete })))
	w.meanwhile = at(restore.StepAwaitReady, func(*v1alpha1.VolumeRestore) {
		w.changeDeployment(func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Volumes = append(d.Spec.Template.Spec.Volumes, corev1.Volume{Name: "old", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
			}})
		})
	})
	v := w.run()
	if claim := w.claim("data"); v.Status.Phase != v1alpha1.RestoreCompleted || claim == nil || !claim.DeletionTimestamp.IsZero() || w.volume("pv-old") == nil {
		t.Errorf("%s; the claim: %+v", v.Status.Phase, claim)
	}
	if !strings.Contains(v.Status.Message, "but data is kept, which Deployment db mounts") {
		t.Errorf("it doesn't say so: %s", v.Status.Message)
	}
}

func TestAPreviousClaimThatAnotherApplicationMountsStays(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	w.must(w.Create(context.Background(), aRestore(func(v *v1alpha1.VolumeRestore) {
		v.Spec.PreviousClaims, v.Spec.Target.Strategy = v1alpha1.PreviousDelete, v1alpha1.StrategyRepoint
	})))
	report := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "report"}, Spec: w.deployment().Spec.Template.Spec}
	report.Spec.NodeName = "node"
	w.must(w.Create(context.Background(), report))
	v := w.run()
	if claim := w.claim("data"); v.Status.Phase != v1alpha1.RestoreCompleted || claim == nil || !claim.DeletionTimestamp.IsZero() || w.volume("pv-old") == nil {
		t.Errorf("%s; the claim: %+v", v.Status.Phase, claim)
	}
	if !strings.Contains(v.Status.Message, "but data is kept, which pod report mounts") {
		t.Errorf("it doesn't say so: %s", v.Status.Message)
	}
}

// What a paused rollout holds back is its owner's to let go.
func TestAHeldBackRolloutIsntLetGoByUndoing(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	w.must(w.Create(context.Background(), aRestore(nil)))
	v := w.run()
	w.check(t, v, v1alpha1.RestoreCompleted)
	w.changeDeployment(func(d *appsv1.Deployment) {
		d.Spec.Paused = true
		d.Spec.Template.Labels = map[string]string{"version": "next"}
	})
	before := w.deployment()
	v.Spec.RollBack = true
	v.Generation++
	w.must(w.Update(context.Background(), v))
	v = w.run()
	refused := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionRolledBack)
	if refused == nil || refused.Reason != v1alpha1.ReasonRolloutPaused || v.Status.Phase != v1alpha1.RestoreCompleted || v.Status.RollBack != nil {
		t.Errorf("%s: %+v", v.Status.Phase, refused)
	}
	if after := w.deployment(); !after.Spec.Paused || after.Spec.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName != before.Spec.Template.Spec.Volumes[0].PersistentVolumeClaim.ClaimName {
		t.Errorf("it was touched: %+v", after.Spec)
	}
}

func TestARollBackThatWaitsItsTurnSaysSo(t *testing.T) {
	w, ctx := newCluster(t, v1alpha1.KindDeployment), context.Background()
	w.must(w.Create(ctx, aRestore(nil)))
	v := w.run()
	first := aRestore(func(other *v1alpha1.VolumeRestore) { other.Name, other.UID = "first", "uid-first" })
	w.must(w.Create(ctx, first))
	first.Status.Application, first.Status.Strategy = v.Status.Application, v1alpha1.StrategyRepoint
	w.must(w.Status().Update(ctx, first))
	look := func(asked bool) {
		v.Spec.RollBack = asked
		v.Generation++
		w.must(w.Update(ctx, v))
		_, err := w.manager().Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(v)})
		w.must(err)
		w.must(w.Get(ctx, client.ObjectKeyFromObject(v), v))
	}
	look(true)
	if c := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionReconciling); c.Status != metav1.ConditionTrue || v.Status.Message != "waits for VolumeRestore first of the same application" {
		t.Errorf("%s: %+v", v.Status.Message, c)
	}
	look(false)
	if c := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionReconciling); c.Status != metav1.ConditionFalse || v.Status.Phase != v1alpha1.RestoreCompleted {
		t.Errorf("not asked any more: %s: %+v", v.Status.Message, c)
	}
}

func TestWhereNothingWasReplacedNothingIsPromised(t *testing.T) {
	w := newCluster(t, v1alpha1.KindStatefulSet)
	old := w.claim("data-db-0")
	old.Finalizers = nil
	w.must(w.Update(context.Background(), old))
	w.must(w.Delete(context.Background(), old))
	w.must(w.Create(context.Background(), aRestore(nil)))
	v := w.run()
	if v.Status.Phase != v1alpha1.RestoreCompleted || !strings.HasSuffix(v.Status.Message, "; there were no previous volumes, so there is nothing to go back to") {
		t.Errorf("%s: %s", v.Status.Phase, v.Status.Message)
	}
}

func TestAClaimIsRefused(t *testing.T) {
	const says = "exceeded quota: one-claim"
	for strategy, want := range map[v1alpha1.RestoreStrategy]struct {
		phase  v1alpha1.RestorePhase
		prefix string
	}{
		v1alpha1.StrategyClaimsOnly: {v1alpha1.RestoreFailed, ""},
		v1alpha1.StrategyRepoint:    {v1alpha1.RestoreRolledBack, "nothing was stopped: "},
	} {
		t.Run(string(strategy), func(t *testing.T) {
			w := newCluster(t, v1alpha1.KindDeployment)
			w.refuses = apierrors.NewForbidden(schema.GroupResource{Resource: "persistentvolumeclaims"}, "x", errors.New(says))
			w.must(w.Create(context.Background(), aRestore(func(v *v1alpha1.VolumeRestore) { v.Spec.Target.Strategy = strategy })))
			v := w.run()
			failedBecause(t, v, want.phase, v1alpha1.ReasonClaimRefused, says)
			sentence := want.prefix + "claim " + v.Status.Claims[0].RestoredClaim + ` can't be made: persistentvolumeclaims "x" is forbidden: ` + says
			if v.Status.Message != sentence {
				t.Errorf("it says %q and should say %q", v.Status.Message, sentence)
			}
			back := v.Status.RollBack != nil || meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionRolledBack) != nil
			if back != (want.phase == v1alpha1.RestoreRolledBack) {
				t.Errorf("it was rolled back: %+v", v.Status.RollBack)
			}
		})
	}
}

// A pod that heeds no TERM writes on to a volume that only one may write to.
func TestUndoneWhileAPodStillStops(t *testing.T) {
	undo := func(w *fakeCluster) func(*v1alpha1.VolumeRestore) {
		return func(v *v1alpha1.VolumeRestore) {
			v.Spec.RollBack = true
			v.Generation++
			w.must(w.Update(context.Background(), v))
		}
	}
	remove := func(w *fakeCluster) func(*v1alpha1.VolumeRestore) {
		return func(v *v1alpha1.VolumeRestore) { w.must(w.Delete(context.Background(), v)) }
	}
	for name, how := range map[string]struct {
		strategy v1alpha1.RestoreStrategy
		goBack   func(*fakeCluster) func(*v1alpha1.VolumeRestore)
	}{
		"asked, repoint":   {v1alpha1.StrategyRepoint, undo},
		"deleted, replace": {v1alpha1.StrategyReplace, remove},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCluster(t, v1alpha1.KindDeployment)
			w.hangs = true
			w.must(w.Create(context.Background(), aRestore(func(v *v1alpha1.VolumeRestore) { v.Spec.Target.Strategy = how.strategy })))
			back, looks := at(restore.StepAwaitPodsGone, how.goBack(w)), 0
			w.meanwhile = func(v *v1alpha1.VolumeRestore) {
				back(v)
				if v.Status.RollBack != nil {
					looks++
				}
				w.hangs = looks < 5
			}
			v := w.run()
			if w.mounted() != "pv-old" || *w.deployment().Spec.Replicas != 1 {
				t.Errorf("it isn't as it was: %q", w.mounted())
			}
			if v != nil && v.Status.Phase != v1alpha1.RestoreRolledBack {
				t.Errorf("%s: %s", v.Status.Phase, v.Status.Message)
			}
		})
	}
}

// On a lost node it would stay down for good.
func TestAnUndoneApplicationIsntKeptDownByAPodThatHangs(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	w.hangs = true
	w.must(w.Create(context.Background(), aRestore(nil)))
	told := w.clock.Now()
	w.meanwhile = at(restore.StepAwaitPodsGone, func(v *v1alpha1.VolumeRestore) {
		v.Spec.RollBack = true
		v.Generation++
		w.must(w.Update(context.Background(), v))
		told = w.clock.Now()
	})
	w.startsBeside = true
	v := w.run()
	waited := v.Status.RollBack.ScaledUpAt.Sub(told)
	if limit := 50 * time.Second; v.Status.Phase != v1alpha1.RestoreRolledBack || waited < limit || waited > limit+5*time.Second {
		t.Errorf("%s after %s: %s", v.Status.Phase, waited, v.Status.Message)
	}
	if !strings.Contains(v.Status.Message, "db-0 hang and were not forced") {
		t.Errorf("it doesn't say so: %s", v.Status.Message)
	}
}

// Its owner wants to know soon whether the new data is good, and has nothing but
// the previous data then.
func TestTheWayBackHasTimeToBeReady(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	w.broken = true
	w.must(w.Create(context.Background(), aRestore(func(v *v1alpha1.VolumeRestore) {
		v.Spec.ReadyTimeout = &metav1.Duration{Duration: 5 * time.Second}
	})))
	w.meanwhile = at(restore.StepAwaitPodsGone, func(*v1alpha1.VolumeRestore) { w.startup = time.Minute })
	v := w.run()
	failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonReadyTimeout, "was not ready within 5s")
	if v.Status.RollBack.ReadyAt == nil {
		t.Errorf("it wasn't awaited: %s", v.Status.Message)
	}
}

// Another tool's snapshot holds a claim by a finalizer for a moment.
func TestAClaimThatIsHeldForAMomentIsWaitedForBeforeAnythingIsStopped(t *testing.T) {
	w := newCluster(t, v1alpha1.KindStatefulSet)
	const foreign = "example.com/snapshot-under-way"
	w.must(w.Create(context.Background(), aRestore(nil)))
	looks := 0
	w.meanwhile = func(v *v1alpha1.VolumeRestore) {
		claim := w.claim("data-db-0")
		if claim == nil || v.Status.ScaledDownAt != nil {
			return
		}
		held := slices.Contains(claim.Finalizers, foreign)
		switch {
		case looks == 0 && v.Status.Step == string(restore.StepCheckMounts):
			claim.Finalizers = append(claim.Finalizers, foreign)
			w.must(w.Update(context.Background(), claim))
			looks++
		case held && strings.Contains(v.Status.Message, foreign):
			if looks++; looks > 3 {
				claim.Finalizers = slices.DeleteFunc(claim.Finalizers, func(f string) bool { return f == foreign })
				w.must(w.Update(context.Background(), claim))
			}
		}
	}
	v := w.run()
	if v.Status.Phase != v1alpha1.RestoreCompleted || looks < 3 {
		t.Errorf("%s after %d looks: %s", v.Status.Phase, looks, v.Status.Message)
	}
}

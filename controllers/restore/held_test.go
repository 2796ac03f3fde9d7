package restore

import (
	"context"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/restore"
)

// Nothing that a restore waits for keeps it for ever: what it has deleted, and
// somebody holds, goes whenever it can.
func TestWhatIsHeldIsntWaitedForForEver(t *testing.T) {
	for name, c := range map[string]struct {
		kind   v1alpha1.ApplicationKind
		step   restore.StepName
		hold   func(*fakeCluster, *v1alpha1.VolumeRestore)
		reason string
		says   string
		going  string
	}{
		"a pod that proves claims hangs": {
			kind: v1alpha1.KindDeployment, step: restore.StepCheckMounts, hold: holdMountChecks,
			reason: v1alpha1.ReasonPodsRemain, says: "that proved the claims hang: ", going: "still being deleted: pod ",
		},
		"somebody mounts a temporary claim": {
			kind: v1alpha1.KindStatefulSet, step: restore.StepCheckMounts, hold: mountNewClaim,
			reason: v1alpha1.ReasonClaimHeld, says: "temporary claims don't go: ", going: "still being deleted: PersistentVolumeClaim ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCluster(t, c.kind)
			w.claimTimeout = 20 * time.Second
			w.must(w.Create(context.Background(), aRestore(nil)))
			w.meanwhile = at(c.step, func(v *v1alpha1.VolumeRestore) { c.hold(w, v) })
			v := w.run()
			failedBecause(t, v, v1alpha1.RestoreRolledBack, c.reason, c.says)
			if !strings.Contains(v.Status.Message, c.going) {
				t.Errorf("should say what is left: %s", v.Status.Message)
			}
			if v.Status.ScaledDownAt != nil || w.mounted() != "pv-old" {
				t.Errorf("the application was touched: it runs on %q", w.mounted())
			}
			if made := w.claim(restore.NewClaimName(&v.Status.Claims[0])); made != nil && made.DeletionTimestamp.IsZero() {
				t.Errorf("what was made should go once it can: %+v", made)
			}
			if volume := w.volume(v.Status.Claims[0].RestoredVolume); volume != nil && volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
				t.Errorf("its volume would stay: %+v", volume)
			}
		})
	}
}

func holdMountChecks(w *fakeCluster, v *v1alpha1.VolumeRestore) {
	for _, p := range w.pods() {
		if p.Labels[v1alpha1.LabelRestoreUID] == string(v.UID) {
			p.Finalizers = append(p.Finalizers, "example.com/held")
			w.must(w.Update(context.Background(), &p))
		}
	}
}

func mountNewClaim(w *fakeCluster, v *v1alpha1.VolumeRestore) {
	snoop := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "snoop"}}
	snoop.Spec.NodeName = "node"
	snoop.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: restore.NewClaimName(&v.Status.Claims[0])},
	}}}
	w.must(w.Create(context.Background(), snoop))
}

func TestARestoreOfAnApplicationThatIsGoneDoesntSayThatItRuns(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	w.must(w.Create(context.Background(), aRestore(nil)))
	w.meanwhile = at(restore.StepAwaitPodsGone, func(*v1alpha1.VolumeRestore) { w.must(w.Delete(context.Background(), w.deployment())) })
	v := w.run()
	failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonApplicationNotFound, "Deployment db was deleted while it was restored")
	if back := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionRolledBack); !strings.HasPrefix(back.Message, "the application is gone, its previous claims and volumes are as they were") {
		t.Error(back.Message)
	}
}

func TestARestoreThatFailedAtOnceHasNothingToUndo(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	ctx := context.Background()
	w.must(w.Create(ctx, aRestore(func(v *v1alpha1.VolumeRestore) { v.Spec.Source.VolumeBackupRef.Name = "nobody" })))
	v := w.run()
	failedBecause(t, v, v1alpha1.RestoreFailed, v1alpha1.ReasonBackupNotFound, "nobody")
	v.Spec.RollBack = true
	v.Generation++
	w.must(w.Update(ctx, v))
	v = w.run()
	refusal := meta.FindStatusCondition(v.Status.Conditions, v1alpha1.ConditionRolledBack)
	if refusal == nil || refusal.Reason != v1alpha1.ReasonNothingToRollBack || v.Status.Message != refusal.Message || v.Status.Phase != v1alpha1.RestoreFailed {
		t.Errorf("%s, %s: %+v", v.Status.Phase, v.Status.Message, refusal)
	}
	failedBecause(t, v, v1alpha1.RestoreFailed, v1alpha1.ReasonBackupNotFound, "nobody")
}

// Its owner applies a change and asks in the same breath: whether the change is
// held back isn't known before its controller has seen it.
func TestAWayBackWaitsUntilTheNewestChangeIsSeen(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	ctx := context.Background()
	w.must(w.Create(ctx, aRestore(nil)))
	v := w.run()
	w.changeDeployment(func(*appsv1.Deployment) {})
	v.Spec.RollBack = true
	v.Generation++
	w.must(w.Update(ctx, v))
	for range 3 {
		if _, err := w.manager().Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(v)}); err != nil {
			t.Fatal(err)
		}
	}
	w.must(w.Get(ctx, client.ObjectKeyFromObject(v), v))
	if v.Status.RollBack != nil || !strings.HasPrefix(v.Status.Message, "waits until the controller of Deployment db has seen its newest change") {
		t.Errorf("%s: %s", v.Status.Phase, v.Status.Message)
	}
	if v = w.run(); v.Status.Phase != v1alpha1.RestoreRolledBack || w.mounted() != "pv-old" {
		t.Errorf("%s: %s", v.Status.Phase, v.Status.Message)
	}
}

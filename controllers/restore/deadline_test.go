package restore

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func (w *fakeCluster) denied(obj client.Object, patch client.Patch, dryRun []string) error {
	if w.denies == nil || len(dryRun) > 0 && !w.deniesDryRuns {
		return nil
	}
	return w.denies(obj, patch)
}

// denial is what an admission policy says.
var denial = apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "x", errors.New("the policy freeze-friday says no"))

func scales(obj client.Object, patch client.Patch) bool {
	return isWorkload(obj) && patch != nil && patch.Type() == types.JSONPatchType
}

func repoints(obj client.Object, patch client.Patch) bool {
	return repointsNow(obj, patch) && patch.Type() != types.JSONPatchType
}

func changesWorkload(obj client.Object, patch client.Patch) bool {
	return isWorkload(obj) && patch != nil
}

// repointsNow: the patch of the template, and not of the replicas.
func repointsNow(obj client.Object, patch client.Patch) bool {
	if !changesWorkload(obj, patch) {
		return false
	}
	data, err := patch.Data(obj)
	return err == nil && strings.Contains(string(data), "claimName")
}

func isWorkload(obj client.Object) bool {
	switch obj.(type) {
	case *appsv1.Deployment, *appsv1.StatefulSet:
		return true
	}
	return false
}

func deletesOldClaim(obj client.Object, patch client.Patch) bool {
	claim, ok := obj.(*corev1.PersistentVolumeClaim)
	return ok && patch == nil && claim.Name == "data-db-0"
}

// restoreDenied is the end of a restore while a policy denies some changes.
func (w *fakeCluster) restoreDenied(which func(client.Object, client.Patch) bool) *v1alpha1.VolumeRestore {
	w.denies = func(obj client.Object, patch client.Patch) error {
		if which(obj, patch) {
			return denial
		}
		return nil
	}
	w.must(w.Create(context.Background(), aRestore(nil)))
	return w.run()
}

func TestARestoreThatIsRefusedGoesBack(t *testing.T) {
	for name, c := range map[string]struct {
		kind   v1alpha1.ApplicationKind
		denied func(client.Object, client.Patch) bool
		step   string
	}{
		"the scaling":                {v1alpha1.KindDeployment, scales, "ScaleDown"},
		"the change of the template": {v1alpha1.KindDeployment, repoints, "Swap"},
		"the deletion of a claim":    {v1alpha1.KindStatefulSet, deletesOldClaim, "Swap"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCluster(t, c.kind)
			v := w.restoreDenied(c.denied)
			failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonAPIError, "step "+c.step+" could not be taken")
			if !strings.Contains(v.Status.Message, "freeze-friday") {
				t.Errorf("should say who refused: %s", v.Status.Message)
			}
			if w.mounted() != "pv-old" {
				t.Errorf("the application runs on %q", w.mounted())
			}
		})
	}
}

func TestWhatWouldBeRefusedStopsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		kind   v1alpha1.ApplicationKind
		denied func(client.Object, client.Patch) bool
		says   string
	}{
		"the scaling":                {v1alpha1.KindStatefulSet, changesWorkload, "the application can't be scaled to zero"},
		"the change of the template": {v1alpha1.KindDeployment, repointsNow, "the pod template can't be changed"},
		"the deletion of a claim":    {v1alpha1.KindStatefulSet, deletesOldClaim, "PersistentVolumeClaim data-db-0 can't be deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newCluster(t, c.kind)
			w.deniesDryRuns = true
			v := w.restoreDenied(c.denied)
			failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonChangeRefused, c.says)
			if v.Status.ScaledDownAt != nil || w.mounted() != "pv-old" {
				t.Errorf("it was stopped: it runs on %q", w.mounted())
			}
		})
	}
}

func TestAWebhookThatKnowsNoDryRunsIsNoRefusal(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	w.deniesDryRuns = true
	stops := 0
	w.denies = func(obj client.Object, patch client.Patch) error {
		if changesWorkload(obj, patch) && !scales(obj, patch) && *w.deployment().Spec.Replicas > 0 {
			stops++
			return apierrors.NewBadRequest(`admission webhook "x" does not support dry run`)
		}
		return nil
	}
	w.must(w.Create(context.Background(), aRestore(nil)))
	if v := w.run(); v.Status.Phase != v1alpha1.RestoreCompleted || stops == 0 {
		t.Errorf("%s: %s", v.Status.Phase, v.Status.Message)
	}
}

func TestARefusalThatPassesIsNoMatter(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	until := time.Time{}
	told := ""
	w.denies = func(obj client.Object, patch client.Patch) error {
		if !repoints(obj, patch) {
			return nil
		}
		if until.IsZero() {
			until = w.clock.Now().Add(refusedLimit / 2)
		}
		if w.clock.Now().Before(until) {
			return denial
		}
		return nil
	}
	w.meanwhile = func(v *v1alpha1.VolumeRestore) {
		if strings.Contains(v.Status.Message, "freeze-friday") {
			told = v.Status.Message
		}
	}
	w.must(w.Create(context.Background(), aRestore(nil)))
	if v := w.run(); v.Status.Phase != v1alpha1.RestoreCompleted || w.mounted() == "pv-old" {
		t.Errorf("%s on %s: %s", v.Status.Phase, w.mounted(), v.Status.Message)
	}
	if !strings.Contains(told, "tries again after an error") {
		t.Errorf("should tell of the refusal meanwhile: %q", told)
	}
}

// An API server that comes back refuses for a moment what it lets be done after.
func TestARefusalAfterAnOutageIsNoMatter(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	tries := 0
	w.denies = func(obj client.Object, patch client.Patch) error {
		if !repoints(obj, patch) {
			return nil
		}
		switch tries++; tries {
		case 1:
			w.clock.Step(time.Hour)
			return apierrors.NewConflict(schema.GroupResource{}, "db", errors.New("somebody was faster"))
		case 2:
			return denial
		}
		return nil
	}
	w.must(w.Create(context.Background(), aRestore(nil)))
	if v := w.run(); v.Status.Phase != v1alpha1.RestoreCompleted || tries != 3 {
		t.Errorf("%s after %d tries: %s", v.Status.Phase, tries, v.Status.Message)
	}
}

func TestAnApplicationThatMayNotBeStartedAgainIsForAPerson(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	v := w.restoreDenied(func(obj client.Object, patch client.Patch) bool {
		return scales(obj, patch) && *w.deployment().Spec.Replicas == 0
	})
	failedBecause(t, v, v1alpha1.RestoreFailed, v1alpha1.ReasonRollBackFailed, "kubectl scale -n shop deployment/db --replicas=1")
	if !strings.Contains(v.Status.Message, "freeze-friday") {
		t.Errorf("should say who refused: %s", v.Status.Message)
	}
}

func TestWhatIsRestoredStaysThoughItsVolumeCantBeReleased(t *testing.T) {
	w := newCluster(t, v1alpha1.KindStatefulSet)
	v := w.restoreDenied(func(obj client.Object, _ client.Patch) bool {
		v, ok := obj.(*corev1.PersistentVolume)
		return ok && v.Name != "pv-old" && v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete
	})
	if v.Status.Phase != v1alpha1.RestoreCompleted || w.mounted() == "pv-old" || !strings.Contains(v.Status.Message, "step Release could not be taken") {
		t.Errorf("%s on %s: %s", v.Status.Phase, w.mounted(), v.Status.Message)
	}
}

// Who has given up must go back, however long the step took: only a step back
// that takes too long is for a person.
func TestGivingUpThatCantBeWrittenIsWrittenLater(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	w.broken = true
	failures := 0
	w.forgets = func(v *v1alpha1.VolumeRestore) error {
		if v.Status.RollBack != nil && failures < 3 {
			failures++
			return apierrors.NewInternalError(errors.New("etcd has no leader"))
		}
		return nil
	}
	w.must(w.Create(context.Background(), aRestore(func(v *v1alpha1.VolumeRestore) {
		v.Spec.ReadyTimeout = &metav1.Duration{Duration: 2 * time.Minute}
	})))
	v := w.run()
	failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonReadyTimeout, "was not ready within")
	if w.mounted() != "pv-old" || failures != 3 {
		t.Errorf("it runs on %q after %d failures", w.mounted(), failures)
	}
}

func TestADryRunThatNobodyAnswersEnds(t *testing.T) {
	w := newCluster(t, v1alpha1.KindDeployment)
	w.deniesDryRuns = true
	w.denies = func(obj client.Object, patch client.Patch) error {
		if changesWorkload(obj, patch) {
			return apierrors.NewInternalError(errors.New("failed calling webhook"))
		}
		return nil
	}
	w.must(w.Create(context.Background(), aRestore(nil)))
	v := w.run()
	failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonAPIError, "failed calling webhook")
	if v.Status.ScaledDownAt != nil {
		t.Error("it was stopped")
	}
}

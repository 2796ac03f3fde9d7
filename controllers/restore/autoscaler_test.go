package restore

import (
	"context"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/restore"
)

// keda is the autoscaler of a ScaledObject of the application.
func keda() *autoscalingv2.HorizontalPodAutoscaler {
	h := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "keda-hpa-db"}}
	h.OwnerReferences = []metav1.OwnerReference{{APIVersion: "keda.sh/v1alpha1", Kind: "ScaledObject", Name: "db", Controller: ptr.To(true)}}
	h.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{Kind: "StatefulSet", Name: "db"}
	return h
}

// Claims are filled for hours.
func TestAnAutoscalerThatComesBeforeTheStopIsRefused(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	w.await(manager, isAt(restore.StepEndMountCheck))
	w.must(w.Create(context.Background(), keda()))
	v := w.work(manager, true)
	failedBecause(t, v, v1alpha1.RestoreRolledBack, v1alpha1.ReasonAutoscalerFights, "KEDA's ScaledObject db")
	if v.Status.ScaledDownAt != nil {
		t.Error("it was stopped")
	}
}

// It was paused for the restore, as that advised, and has been resumed since.
func TestAnAutoscalerThatHasComeSinceIsRefusedOnTheWayBack(t *testing.T) {
	w := newWorld(t, v1alpha1.KindStatefulSet, 1)
	w.must(w.Create(context.Background(), aRestore(nil)))
	manager := w.manager()
	v := w.work(manager, true)
	w.must(w.Create(context.Background(), keda()))
	pod := w.own()[0].UID
	w.ask(v)
	v = w.work(manager, true)
	if v.Status.Phase != v1alpha1.RestoreCompleted || !strings.Contains(v.Status.Message, "KEDA's ScaledObject db") || !strings.HasSuffix(v.Status.Message, "Nothing was touched") || w.own()[0].UID != pod {
		t.Errorf("%s: %s", v.Status.Phase, v.Status.Message)
	}
	w.must(w.Delete(context.Background(), keda()))
	w.must(w.Get(context.Background(), client.ObjectKeyFromObject(v), v))
	w.askAnew(v)
	if v = w.work(manager, true); v.Status.Phase != v1alpha1.RestoreRolledBack || w.mounted() != "pv-old" {
		t.Errorf("asked again: %s: %s", v.Status.Phase, v.Status.Message)
	}
}

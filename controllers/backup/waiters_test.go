package backup

import (
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func isWoken(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestWhoWaitsIsWoken(t *testing.T) {
	w := newWaiters()
	on := w.onChange(handler.Funcs{})
	snap := &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "s"}}
	content := &snapshotv1.VolumeSnapshotContent{ObjectMeta: metav1.ObjectMeta{Name: "c"}}
	content.Spec.VolumeSnapshotRef = corev1.ObjectReference{Namespace: "shop", Name: "s"}
	one, stopOne := w.add(waitKey{namespace: "shop", name: "s"}, waitKey{namespace: "shop", name: "t"})
	two, stopTwo := w.add(waitKey{namespace: "shop", name: "s"})
	other, stopOther := w.add(waitKey{namespace: "other", name: "s"}, waitKey{namespace: "shop", name: "s", deletion: true})
	for name, obj := range map[string]client.Object{"its snapshot": snap, "its content": content} {
		for range 3 { // more than a waiter has room for: it isn't waited for
			on.Update(t.Context(), event.UpdateEvent{ObjectNew: obj}, nil)
		}
		if !isWoken(one) || !isWoken(two) || isWoken(one) || isWoken(other) {
			t.Errorf("%s wakes who waits for it, once, and nobody else", name)
		}
	}
	stopOne()
	on.Delete(t.Context(), event.DeleteEvent{Object: snap}, nil)
	if isWoken(one) || !isWoken(two) {
		t.Error("who has stopped isn't woken, the others are")
	}
	stopTwo()
	stopOther()
	if len(w.by) > 0 {
		t.Errorf("something is left of those that have stopped: %v", w.by)
	}
}

func TestADeletionWakesItsBackupAlone(t *testing.T) {
	w := newWaiters()
	now := metav1.Now()
	b := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "b"}}
	deleted := b.DeepCopy()
	deleted.DeletionTimestamp = &now
	waiter, stop := w.add(deletionOf(b))
	defer stop()
	w.onDeletion().Update(t.Context(), event.UpdateEvent{ObjectNew: b}, nil)
	if isWoken(waiter) {
		t.Error("a backup that isn't deleted wakes nobody")
	}
	w.onDeletion().Update(t.Context(), event.UpdateEvent{ObjectNew: deleted}, nil)
	if !isWoken(waiter) {
		t.Error("a backup that is deleted wakes its attempt")
	}
}

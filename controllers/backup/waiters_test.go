package backup

import (
	"context"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
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
	change := map[string]func(){
		"its snapshot":              func() { on.Update(t.Context(), event.UpdateEvent{ObjectNew: snap}, nil) },
		"its content":               func() { w.keepContent(content) },
		"its content, that it goes": func() { w.forgetContent(content) },
	}
	for name, changes := range change {
		for range 3 { // more than a waiter has room for: it isn't waited for
			changes()
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

// A content is kept while its snapshot is waited for, and no other ever is.
func TestContentsThatAreWaitedFor(t *testing.T) {
	w := newWaiters()
	c := sourceFor(t, contents{w})
	from := watched{waiters: w}
	named := func(snapshot string) *snapshotv1.VolumeSnapshotContent {
		content := &snapshotv1.VolumeSnapshotContent{ObjectMeta: metav1.ObjectMeta{Name: "of-" + snapshot, UID: types.UID(snapshot)}}
		content.Spec.VolumeSnapshotRef = corev1.ObjectReference{Namespace: "shop", Name: snapshot, UID: "1"}
		return content
	}
	isKept := func(snapshot string) bool {
		var content snapshotv1.VolumeSnapshotContent
		err := from.Get(t.Context(), client.ObjectKey{Name: "of-" + snapshot}, &content)
		if err == nil && content.Spec.VolumeSnapshotRef.UID == "1" {
			return true
		}
		if !apierrors.IsNotFound(err) {
			t.Errorf("reading that of %s: %v, %+v", snapshot, err, content)
		}
		return false
	}
	_, stopOne := w.add(waitKey{namespace: "shop", name: "s"})
	_, stopTwo := w.add(waitKey{namespace: "shop", name: "s"}, waitKey{namespace: "shop", name: "t"})
	if err := c.Replace([]any{named("s"), named("other")}, "1"); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitForSync(t.Context()); err != nil {
		t.Error(err)
	}
	for _, err := range []error{c.Add(named("t")), c.Add(named("another")), c.Replace([]any{named("t"), named("s")}, "2")} {
		if err != nil {
			t.Error(err)
		}
	}
	if !isKept("s") || !isKept("t") || isKept("other") || isKept("another") || len(w.contents) != 2 {
		t.Errorf("kept are %v", w.contents)
	}
	stopOne()
	if !isKept("s") {
		t.Error("it is forgotten while another waits for it")
	}
	if err := c.Delete(named("t")); err != nil || isKept("t") {
		t.Errorf("one that is gone is kept: %v", err)
	}
	if err := c.Add(named("t")); err != nil || !isKept("t") {
		t.Errorf("one that is there again isn't kept: %v", err)
	}
	if err := c.Replace([]any{named("s")}, "3"); err != nil || isKept("t") || !isKept("s") {
		t.Errorf("one that went while nobody watched is kept: %v", err)
	}
	if stopTwo(); len(w.contents) > 0 {
		t.Errorf("kept is what nobody waits for: %v", w.contents)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := sourceFor(t, contents{w}).WaitForSync(ended); err == nil {
		t.Error("what was never listed is synced")
	}
}

func sourceFor(t *testing.T, k keeper) *storeless {
	t.Helper()
	q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[ctrl.Request]())
	t.Cleanup(q.ShutDown)
	k.wakes(q)
	return &storeless{keeper: k, synced: make(chan struct{})}
}

func TestADeletionWakesItsBackupAlone(t *testing.T) {
	w := newWaiters()
	now := metav1.Now()
	b := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "b"}}
	deleted := b.DeepCopy()
	deleted.DeletionTimestamp = &now
	waiter, stop := w.add(deletionOf(b))
	defer stop()
	w.onDeletion(nil).Update(t.Context(), event.UpdateEvent{ObjectNew: b}, nil)
	if isWoken(waiter) {
		t.Error("a backup that isn't deleted wakes nobody")
	}
	w.onDeletion(nil).Update(t.Context(), event.UpdateEvent{ObjectNew: deleted}, nil)
	if !isWoken(waiter) {
		t.Error("a backup that is deleted wakes its attempt")
	}
}

// A list of all where one was asked for takes the memory of all.
func TestAListIsOfAsManyAsAskedFor(t *testing.T) {
	asked := metav1.ListOptions{Limit: 1, Continue: "there", ResourceVersion: "7"}
	if o := listOptions(asked).AsListOptions(); o.Limit != 1 || o.Continue != "there" || o.ResourceVersion != "7" {
		t.Errorf("it is %+v", o)
	}
}

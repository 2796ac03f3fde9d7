package policy

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// watcher is a manager that lives on, and sees whatever is deleted.
type watcher struct {
	*cluster
	r     *Reconciler
	seen  handler.EventHandler
	queue workqueue.TypedRateLimitingInterface[ctrl.Request]
}

func (c *cluster) aWatcher() *watcher {
	w := &watcher{cluster: c, queue: aQueue(c.T)}
	watching := interceptor.NewClient(c.WithWatch, interceptor.Funcs{
		Delete: func(ctx context.Context, to client.WithWatch, obj client.Object, _ ...client.DeleteOption) error {
			err := to.Delete(ctx, obj) // the fake server knows no preconditions
			if err == nil {
				w.seen.Delete(ctx, event.DeleteEvent{Object: obj}, w.queue)
			}
			return err
		},
	})
	w.r = &Reconciler{Client: watching, Live: watching, Events: c.told, Clock: c.clock}
	w.seen = notesDeletions[*v1alpha1.SnapshotPolicy](w.r)
	return w
}

func aQueue(t *testing.T) workqueue.TypedRateLimitingInterface[ctrl.Request] {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[ctrl.Request]())
	t.Cleanup(queue.ShutDown)
	return queue
}

// looks is one reconcile. It comes back with when to look again.
func (w *watcher) looks() time.Duration {
	w.Helper()
	loop := loopOf(w.r, func() *v1alpha1.SnapshotPolicy { return &v1alpha1.SnapshotPolicy{} })
	result, err := loop.Reconcile(context.Background(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "nightly"}})
	w.must(err)
	return result.RequeueAfter
}

// othersDelete deletes the backups of the nights before, from one to another.
func (w *watcher) othersDelete(from, to int) {
	w.Helper()
	for night := from; night <= to; night++ {
		b := &v1alpha1.VolumeBackup{}
		w.must(w.Get(context.Background(), client.ObjectKeyFromObject(before(night)), b))
		w.must(w.r.Delete(context.Background(), b))
	}
}

// othersBegin marks the same as being deleted, and has a finalizer keep them.
func (w *watcher) othersBegin(from, to int) {
	w.Helper()
	for night := from; night <= to; night++ {
		old := &v1alpha1.VolumeBackup{}
		w.must(w.Get(context.Background(), client.ObjectKeyFromObject(before(night)), old))
		leaving := old.DeepCopy()
		leaving.DeletionTimestamp = &metav1.Time{Time: w.clock.Now()}
		w.seen.Update(context.Background(), event.UpdateEvent{ObjectOld: old, ObjectNew: leaving}, w.queue)
		w.seen.Update(context.Background(), event.UpdateEvent{ObjectOld: leaving, ObjectNew: leaving}, w.queue)
		w.must(w.Delete(context.Background(), old))
		w.seen.Delete(context.Background(), event.DeleteEvent{Object: leaving}, w.queue)
	}
}

// toldOf are the events of a reason since it was last asked.
func (w *watcher) toldOf(reason string) (all []string) {
	for {
		select {
		case told := <-w.told.Events:
			if strings.Contains(told, " "+reason+" ") {
				all = append(all, told)
			}
		default:
			return all
		}
	}
}

// stalledFor is why the policy waits for a person, empty where it doesn't.
func (w *watcher) stalledFor() (reason, message string) {
	w.Helper()
	c := meta.FindStatusCondition(w.policy().Status.Conditions, v1alpha1.ConditionStalled)
	if c == nil {
		return "", ""
	}
	return c.Reason, c.Message
}

func (w *watcher) isCalm(when string) {
	w.Helper()
	if events := w.toldOf(v1alpha1.ReasonMassDeletion); len(events) > 0 {
		w.Errorf("%s: it told %q", when, events)
	}
	if reason, message := w.stalledFor(); reason != "" {
		w.Errorf("%s: it is stalled for %s: %s", when, reason, message)
	}
}

func (w *watcher) isHeld(when string, events int) {
	w.Helper()
	if got := w.toldOf(v1alpha1.ReasonMassDeletion); len(got) != events {
		w.Errorf("%s: it told %q, want %d event(s)", when, got, events)
	}
	if reason, message := w.stalledFor(); reason != v1alpha1.ReasonRetentionHeld {
		w.Errorf("%s: it is stalled for %q: %s", when, reason, message)
	}
}

func (w *watcher) annotate(value string) {
	w.Helper()
	p := w.policy()
	metav1.SetMetaDataAnnotation(&p.ObjectMeta, v1alpha1.AnnotationReleaseRetention, value)
	w.must(w.Update(context.Background(), p))
}

// aHistory is a policy that keeps some of its backups, of so many nights before.
func aHistory(t *testing.T, nights int, keep int32) *watcher {
	objects := append(aPolicy(func(p *v1alpha1.SnapshotPolicy) {
		p.Spec.Retention.Snapshots = &v1alpha1.RetentionRules{KeepLast: keep}
	}), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
	for night := range nights {
		b := before(night + 1)
		b.UID = types.UID(b.Name) // the fake server gives none
		objects = append(objects, b)
	}
	return aCluster(t, objects...).aWatcher()
}

// After a mass deletion retention goes on by a person's word alone: not as time
// goes by, not by the release of something else, not by a restart.
func TestAfterAMassDeletionRetentionWaitsForAPerson(t *testing.T) {
	w := aHistory(t, 60, 40)
	at := w.clock.Now().Format(time.RFC3339)
	w.othersDelete(1, 20)
	w.looks()
	events := w.toldOf(v1alpha1.ReasonMassDeletion)
	if len(events) != 1 {
		t.Fatalf("it told %q", events)
	}
	for _, says := range []string{
		"others have deleted 20 backups of the policy since " + at, "audit log",
		"kubectl get rolebindings,clusterrolebindings -n shop -o wide", "kubectl auth can-i delete volumebackups.lull.dev -n shop --as=NAME",
		"of Deployment db: before-1, before-2",
	} {
		if !strings.Contains(events[0], says) {
			t.Errorf("the event doesn't say %q: %s", says, events[0])
		}
	}
	release := "kubectl annotate snapshotpolicy -n shop nightly lull.dev/release-retention=" + at + " --overwrite"
	if reason, message := w.stalledFor(); reason != v1alpha1.ReasonRetentionHeld || !strings.Contains(message, release) || !strings.Contains(message, "deleted at least 20 backups") {
		t.Errorf("it is stalled for %s: %s", reason, message)
	}

	w.clock.SetTime(two.Add(time.Second)) // one more is made than is kept
	w.looks()
	w.complete()
	w.annotate("1")
	w = w.aWatcher()
	w.looks()
	w.isHeld("a night later, by another manager", 0)
	if n := len(w.backups()); n != 41 {
		t.Errorf("of 41 backups there are %d", n)
	}

	w.annotate(at)
	w.looks()
	w.isCalm("once it is released")
	if n := len(w.backups()); n != 40 || w.policy().Status.MassDeletion != nil {
		t.Errorf("once it is released there are %d backups, and it knows of %+v", n, w.policy().Status.MassDeletion)
	}
}

func TestWhatIsNoMassDeletion(t *testing.T) {
	t.Run("nineteen by others", func(t *testing.T) {
		w := aHistory(t, 59, 40)
		w.othersDelete(1, 19)
		w.looks()
		w.isCalm("after nineteen")
	})
	t.Run("nineteen that finalizers keep for some time", func(t *testing.T) {
		w := aHistory(t, 59, 40)
		w.othersBegin(1, 19)
		w.looks()
		w.isCalm("after nineteen")
	})
	t.Run("twenty-five by retention", func(t *testing.T) {
		w := aHistory(t, 30, 5)
		w.annotate("1")
		w.looks()
		w.looks()
		w.isCalm("after retention")
		if n := len(w.backups()); n != 5 {
			t.Errorf("retention has left %d", n)
		}
	})
	t.Run("twenty-five by a namespace that goes", func(t *testing.T) {
		w := aHistory(t, 65, 40)
		ns := &corev1.Namespace{}
		w.must(w.Get(context.Background(), client.ObjectKey{Name: "shop"}, ns))
		ns.Finalizers = []string{"kubernetes.test/content"}
		w.must(w.Update(context.Background(), ns))
		w.must(w.Delete(context.Background(), ns))
		w.othersDelete(1, 25)
		w.looks()
		w.isCalm("while the namespace goes")
	})
}

func TestAMassDeletionIsToldOnce(t *testing.T) {
	w := aHistory(t, 200, 40)
	w.othersBegin(1, 20)
	if after := w.looks(); after > time.Minute {
		t.Errorf("it looks again after %s, and not when the deletion is over", after)
	}
	w.isHeld("after twenty", 1)
	w.clock.SetTime(w.clock.Now().Add(50 * time.Second))
	w.othersDelete(21, 50)
	w.looks()
	w.isHeld("as it goes on", 0)
	w.clock.SetTime(w.clock.Now().Add(time.Minute))
	w.looks()
	w.isHeld("when it is over", 0)
	if got := w.policy().Status.MassDeletion; got.Count != 50 || len(got.Backups) != 50 {
		t.Errorf("of fifty it counts %d and names %d", got.Count, len(got.Backups))
	}
	w.clock.SetTime(w.clock.Now().Add(time.Minute))
	w.looks()
	w.othersDelete(51, 69)
	w.looks()
	w.isHeld("after nineteen more", 0)
	w.othersDelete(70, 70)
	w.looks()
	w.isHeld("after the next twenty", 1)
}

// A backup counts in the policy of its kind; one that was made by hand may count
// in either.
func TestWhosePolicyADeletionIsOf(t *testing.T) {
	c := aCluster(t)
	r := &Reconciler{Clock: c.clock}
	of := notesDeletions[*v1alpha1.ClusterSnapshotPolicy](r)
	for i := range 3 {
		of.Delete(context.Background(), event.DeleteEvent{Object: before(i)}, aQueue(t))
	}
	if n, other := len(r.deletions.of(types.NamespacedName{Name: "nightly"})), len(r.deletions.of(types.NamespacedName{Namespace: "shop", Name: "nightly"})); n != 3 || other != 0 {
		t.Errorf("%d deletions are the cluster's policy's and %d a namespace's", n, other)
	}
}

// Policies come and go, and nobody asks for the deletions of one that has gone.
func TestDeletionsAreForgotten(t *testing.T) {
	var d deletions
	for i := range 10 {
		d.note(types.NamespacedName{Name: fmt.Sprint(i)}, before(i), two)
		d.expect(types.UID(fmt.Sprint(i)), two)
	}
	d.note(types.NamespacedName{Name: "nightly"}, before(1), two.Add(2*time.Hour))
	if len(d.byPolicy) != 1 || len(d.own) != 0 {
		t.Errorf("deletions of %d policies and %d own are remembered", len(d.byPolicy), len(d.own))
	}
}

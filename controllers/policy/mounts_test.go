package policy

import (
	"context"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// mounting is a Deployment of namespace shop that mounts claims.
func mounting(name string, claims ...string) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Generation: 1}}
	for _, claim := range claims {
		d.Spec.Template.Spec.Volumes = append(d.Spec.Template.Spec.Volumes, corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}})
	}
	return d
}

func aClaim(name, backup string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Annotations: map[string]string{"k8up.io/backup": backup}}}
}

func all(p *v1alpha1.SnapshotPolicy) { p.Spec.Applications.Selector = &metav1.LabelSelector{} }

// atTwo are the backups that are made at two, and what they leave out.
func (c *cluster) atTwo() map[string][]string {
	c.Helper()
	c.lookOn()
	c.clock.SetTime(two)
	c.lookOn()
	var made v1alpha1.VolumeBackupList
	c.must(c.List(context.Background(), &made))
	out := map[string][]string{}
	for _, b := range made.Items {
		out[b.Spec.ApplicationRef.Name] = b.Spec.Volumes.Exclude
	}
	return out
}

func TestWhatHasNothingToBackUpIsNotSelected(t *testing.T) {
	c := aCluster(t, aPolicy(all)[0], mounting("db", "data", "shared"), mounting("web"), mounting("thumbnails", "scratch"), aClaim("data", "true"), aClaim("scratch", "false"))
	if made := c.atTwo(); len(made) != 1 || made["db"] != nil || c.policy().Status.ApplicationCount != 1 {
		t.Errorf("backups are made, and leave out, %v", made)
	}
}

// A claim that says no is left out, whoever names the workload that mounts it.
func TestAClaimThatSaysNoIsNotBackedUp(t *testing.T) {
	db := mounting("db", "data", "cache")
	db.Annotations = map[string]string{v1alpha1.AnnotationPolicy: "nightly"}
	for what, change := range map[string]func(*v1alpha1.SnapshotPolicy){
		"selected": all, "asks for itself": nil,
		"named": func(p *v1alpha1.SnapshotPolicy) {
			p.Spec.Applications.Refs = []v1alpha1.ApplicationReference{{Kind: v1alpha1.KindDeployment, Name: "db"}}
		},
	} {
		c := aCluster(t, aPolicy(change)[0], db, aClaim("data", ""), aClaim("cache", "false"), aClaim("anothers", "false"))
		if made := c.atTwo(); len(made) != 1 || !slices.Equal(made["db"], []string{"cache"}) {
			t.Errorf("%s: backups are made, and leave out, %v", what, made)
		}
	}
}

// asked counts what is read past the cache.
type asked struct {
	client.Reader
	count int
}

func (a *asked) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	a.count++
	return a.Reader.Get(ctx, key, obj, opts...)
}

func (a *asked) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	a.count++
	return a.Reader.List(ctx, list, opts...)
}

// However many there are, and however often a policy looks.
func TestAWorkloadIsReadOnceForEachGeneration(t *testing.T) {
	c := aCluster(t, aPolicy(all)[0], mounting("db", "data"), mounting("web"), mounting("shop", "files"))
	live := &asked{Reader: c.WithWatch}
	c.manager = &Reconciler{Client: c.WithWatch, Live: live, Events: c.told, Clock: c.clock}
	looks := func(wants int, applications int32) {
		t.Helper()
		live.count = 0
		for range 3 {
			c.lookOn()
		}
		if got := c.policy().Status.ApplicationCount; live.count != wants || got != applications {
			t.Errorf("%d were read, and %d are applications", live.count, got)
		}
	}
	looks(1, 2)
	looks(0, 2)
	web := mounting("web", "sessions")
	web.Generation = 2
	c.must(c.Update(context.Background(), web))
	looks(1, 3)
	again := mounting("web")
	again.UID = "another"
	c.must(c.Delete(context.Background(), web))
	c.must(c.Create(context.Background(), again))
	looks(1, 2)
	c.clock.SetTime(two.AddDate(0, 0, 3))
	looks(0, 2)
	c.must(c.Create(context.Background(), mounting("late", "data")))
	looks(1, 3)
	if n := len(c.manager.mounts.of); n != 4 {
		t.Errorf("%d are known, and one of them isn't there any more", n)
	}
}

// queued is a queue that tells what is put into it, and when it comes.
type queued struct {
	workqueue.TypedRateLimitingInterface[ctrl.Request]
	after []time.Duration
}

func (q *queued) Add(ctrl.Request)                             { q.after = append(q.after, 0) }
func (q *queued) AddAfter(_ ctrl.Request, after time.Duration) { q.after = append(q.after, after) }

// An autoscaler changes a workload all the time.
func TestALookAtAChangedSpecWaits(t *testing.T) {
	its := func(context.Context, client.Object) []ctrl.Request { return make([]ctrl.Request, 1) }
	s := settling{handler.EnqueueRequestsFromMapFunc(its), its}
	before := mounting("db", "data")
	for what, c := range map[string]struct {
		change func(*appsv1.Deployment)
		wants  time.Duration
		isSeen bool
	}{
		"nothing":      {func(*appsv1.Deployment) {}, 0, false},
		"its status":   {func(d *appsv1.Deployment) { d.ResourceVersion = "2" }, 0, false},
		"its replicas": {func(d *appsv1.Deployment) { d.Generation = 2 }, specSettles, true},
		"its labels":   {func(d *appsv1.Deployment) { d.Labels = map[string]string{"tier": "db"} }, 0, true},
	} {
		after := before.DeepCopy()
		c.change(after)
		change, queue := event.UpdateEvent{ObjectOld: before, ObjectNew: after}, &queued{}
		if got := ifSelectionChanges.Update(change); got != c.isSeen {
			t.Errorf("%s: seen: %t", what, got)
		}
		if s.Update(context.Background(), change, queue); c.isSeen && !slices.Equal(queue.after, []time.Duration{c.wants}) {
			t.Errorf("%s: policies look after %v", what, queue.after)
		}
	}
}

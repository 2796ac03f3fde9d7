package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/policy"
)

var errDead, errRefused = errors.New("this manager is dead"), errors.New("a webhook is against it")

// cluster is a fake API server with a policy that has one database, and a clock.
type cluster struct {
	*testing.T
	client.WithWatch
	clock *clocktesting.FakeClock
	told  *events.FakeRecorder
	// writes are those of the manager so far; it dies after that many, 0 for never.
	writes, dieAt int
	// refusal is the answer where a backup is made, nil for none, refusals those
	// where it is of an application of that name, and undeletable is a backup that
	// can't be deleted.
	refusal     error
	refusals    map[string]error
	undeletable string
	// beforeWrite happens right before a write of a manager, nil for nothing.
	beforeWrite func()
	// created counts how often each backup was made.
	created map[string]int
	// manager that lives, nil where the next one has to begin.
	manager *Reconciler
}

var two = time.Date(2025, 11, 26, 2, 0, 0, 0, time.UTC)

func aCluster(t *testing.T, objects ...client.Object) *cluster {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, v1alpha1.AddToScheme, metav1.AddMetaToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.SnapshotPolicy{}, &v1alpha1.ClusterSnapshotPolicy{}).WithObjects(objects...).
		WithIndex(&v1alpha1.VolumeBackup{}, byPolicy, func(o client.Object) []string { return []string{o.GetLabels()[v1alpha1.LabelPolicy]} })
	for _, kind := range applicationKinds() {
		metadata, err := metadataOf(kind, scheme)
		if err != nil {
			t.Fatal(err)
		}
		builder = builder.WithIndex(metadata, byPolicy, func(o client.Object) []string { return policy.Joined(o.GetAnnotations()) })
		if metadata.Kind == "PersistentVolumeClaim" {
			builder = builder.WithIndex(metadata, byOut, isOut)
		}
	}
	return &cluster{T: t, WithWatch: builder.Build(), clock: clocktesting.NewFakeClock(two.Add(-time.Hour)), told: events.NewFakeRecorder(100), created: map[string]int{}}
}

// write is one of the manager's.
func (c *cluster) write(do func() error) error {
	if c.dieAt > 0 && c.writes >= c.dieAt {
		return errDead
	}
	if c.beforeWrite != nil {
		c.beforeWrite()
	}
	c.writes++
	if err := do(); err != nil || c.writes != c.dieAt {
		return err
	}
	return errDead // it reached the server
}

// look is one reconcile by a manager that may die. It comes back with when to
// look again.
func (c *cluster) look() (time.Duration, error) {
	loop := loopOf(c.living(), func() *v1alpha1.SnapshotPolicy { return &v1alpha1.SnapshotPolicy{} })
	result, err := loop.Reconcile(context.Background(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: "nightly"}})
	if errors.Is(err, errDead) {
		c.manager = nil
	}
	return result.RequeueAfter, err
}

// lookOfCluster looks at the policy of the cluster with the same name.
func (c *cluster) lookOfCluster() {
	c.Helper()
	loop := loopOf(c.living(), func() *v1alpha1.ClusterSnapshotPolicy { return &v1alpha1.ClusterSnapshotPolicy{} })
	if _, err := loop.Reconcile(context.Background(), ctrl.Request{NamespacedName: types.NamespacedName{Name: "nightly"}}); err != nil {
		c.Fatal(err)
	}
}

// living is the manager that lives, a new one where the last has died.
func (c *cluster) living() *Reconciler {
	dying := interceptor.NewClient(c.WithWatch, interceptor.Funcs{
		Create: func(ctx context.Context, w client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			return c.write(func() error {
				obj.SetCreationTimestamp(metav1.NewTime(c.clock.Now()))
				err := c.refusal
				if b, is := obj.(*v1alpha1.VolumeBackup); is && err == nil {
					err = c.refusals[b.Spec.ApplicationRef.Name]
				}
				if err == nil {
					err = w.Create(ctx, obj, opts...)
				}
				if err == nil {
					c.created[obj.GetName()]++
				}
				return err
			})
		},
		Delete: func(ctx context.Context, w client.WithWatch, obj client.Object, _ ...client.DeleteOption) error {
			if obj.GetName() == c.undeletable {
				return errRefused
			}
			return c.write(func() error { return w.Delete(ctx, obj) }) // the fake server knows no preconditions
		},
		SubResourcePatch: func(ctx context.Context, w client.Client, sub string, obj client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return c.write(func() error { return w.SubResource(sub).Patch(ctx, obj, p, opts...) })
		},
	})
	if c.manager == nil {
		c.manager = &Reconciler{Client: dying, Live: dying, Events: c.told, Clock: c.clock}
	}
	return c.manager
}

// lookOn looks with a manager that lives.
func (c *cluster) lookOn() time.Duration {
	c.Helper()
	c.dieAt = 0
	after, err := c.look()
	if err != nil {
		c.Fatal(err)
	}
	return after
}

func (c *cluster) policy() *v1alpha1.SnapshotPolicy {
	c.Helper()
	var p v1alpha1.SnapshotPolicy
	if err := c.Get(context.Background(), client.ObjectKey{Namespace: "shop", Name: "nightly"}, &p); err != nil {
		c.Fatal(err)
	}
	return &p
}

// backups are those that there are, by name.
func (c *cluster) backups() []string {
	c.Helper()
	var all v1alpha1.VolumeBackupList
	if err := c.List(context.Background(), &all); err != nil {
		c.Fatal(err)
	}
	var names []string
	for _, b := range all.Items {
		names = append(names, b.Name)
	}
	slices.Sort(names)
	return names
}

// of counts the backups of an application.
func (c *cluster) of(app string) (n int) {
	c.Helper()
	for _, name := range c.backups() {
		if strings.HasPrefix(name, "nightly-"+app+"-") {
			n++
		}
	}
	return n
}

// complete ends what goes on.
func (c *cluster) complete() {
	c.Helper()
	var all v1alpha1.VolumeBackupList
	c.must(c.List(context.Background(), &all))
	for i := range all.Items {
		b := &all.Items[i]
		b.Status.Conditions = before(0).Status.Conditions
		c.must(c.Update(context.Background(), b))
	}
}

func (c *cluster) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// aPolicy is one of namespace shop, and the database that asks for it.
func aPolicy(change func(*v1alpha1.SnapshotPolicy)) []client.Object {
	p := &v1alpha1.SnapshotPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "nightly", Generation: 1, CreationTimestamp: metav1.NewTime(two.AddDate(0, -1, 0))},
		Spec:       v1alpha1.SnapshotPolicySpec{Schedule: "0 2 * * *"},
	}
	if change != nil {
		change(p)
	}
	return []client.Object{p, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "db", Annotations: map[string]string{v1alpha1.AnnotationPolicy: "nightly"},
	}}}
}

// deployment is one that asks for a policy, where that has a name.
func deployment(namespace, name, policy string) *appsv1.Deployment {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if policy != "" {
		d.Annotations = map[string]string{v1alpha1.AnnotationPolicy: policy}
	}
	return d
}

// before is a complete backup of some nights before.
func before(nights int) *v1alpha1.VolumeBackup {
	return &v1alpha1.VolumeBackup{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: fmt.Sprintf("before-%d", nights), Labels: map[string]string{v1alpha1.LabelPolicy: "nightly"},
			Annotations: map[string]string{v1alpha1.AnnotationScheduledAt: two.AddDate(0, 0, -nights).Format(time.RFC3339)},
		},
		Spec: v1alpha1.VolumeBackupSpec{ApplicationRef: v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "db"}},
		Status: v1alpha1.VolumeBackupStatus{Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: "x", LastTransitionTime: metav1.NewTime(two)},
		}},
	}
}

// aNight is one at which a backup is due, one is asked for at once and some are to be
// removed.
func aNight(t *testing.T) *cluster {
	objects := append(aPolicy(func(p *v1alpha1.SnapshotPolicy) {
		p.Spec.Retention.Snapshots = &v1alpha1.RetentionRules{KeepLast: 2}
		p.Annotations = map[string]string{v1alpha1.AnnotationRunNow: "tonight"}
	}), before(1), before(2), before(3))
	c := aCluster(t, objects...)
	seen := c.policy()
	seen.Status.Seen = &v1alpha1.SeenSchedule{Schedule: "0 2 * * *", Since: metav1.NewMicroTime(two.AddDate(0, 0, -5))}
	seen.Status.Applications = []v1alpha1.PolicyApplicationStatus{{Kind: v1alpha1.KindDeployment, Name: "db", Since: &metav1.Time{Time: two.AddDate(0, 0, -5)}}}
	c.must(c.Status().Update(context.Background(), seen))
	c.clock.SetTime(two.Add(time.Second))
	return c
}

// A night comes to the same whichever write the manager dies after.
func TestAPolicysManagerMayDieAnywhere(t *testing.T) {
	writes := 0
	night := func(dieAt int) *cluster {
		c := aNight(t)
		c.dieAt = dieAt
		if _, err := c.look(); dieAt > 0 && err == nil && c.writes >= dieAt {
			t.Fatalf("the manager lives on after write %d", dieAt)
		}
		c.clock.SetTime(two.Add(3 * time.Second))
		writes = c.writes
		for range 3 { // a run waits for the one that was asked for
			c.complete()
			c.lookOn()
		}
		return c
	}
	want := night(0).backups()
	if len(want) != 2 || !strings.HasPrefix(want[0], "nightly-db-20251126-0200-") || writes < 5 {
		t.Fatalf("without a crash there are %v after %d writes", want, writes)
	}
	for n, last := 1, writes; n <= last; n++ {
		c := night(n)
		if got := c.backups(); !slices.Equal(got, want) {
			t.Errorf("dead after write %d: %v, want %v", n, got, want)
		}
		for name, times := range c.created {
			if times > 1 {
				t.Errorf("dead after write %d: %s was made %d times", n, name, times)
			}
		}
		if now := c.policy().Status.RunNow; now == nil || !now.Done || len(now.Backups) != 1 {
			t.Errorf("dead after write %d: what was asked for at once is told as %+v", n, now)
		}
	}
}

// A run costs two writes: its backup, and the status once that has ended.
func TestAStatusIsWrittenOnceARun(t *testing.T) {
	c := aCluster(t, aPolicy(nil)...)
	c.lookOn()
	c.writes = 0
	c.clock.SetTime(two)
	if after := c.lookOn(); after == 0 || after > time.Hour {
		t.Errorf("it looks again after %s, by when what is only known here is written", after)
	}
	if c.lookOn(); c.writes != 1 || c.policy().Status.LastScheduleTime != nil {
		t.Fatalf("%d writes while the backup goes on", c.writes)
	}
	c.complete()
	c.lookOn()
	if c.lookOn(); c.writes != 2 || !c.policy().Status.LastScheduleTime.Time.Equal(two) {
		t.Errorf("%d writes once it has ended, and the last run is told as %v", c.writes, c.policy().Status.LastScheduleTime)
	}
}

// What a person deletes isn't made again, though no status tells of it.
func TestWhatIsDeletedByHandIsNotMadeAgain(t *testing.T) {
	c := aCluster(t, aPolicy(nil)...)
	c.lookOn()
	c.clock.SetTime(two)
	c.lookOn()
	c.must(c.DeleteAllOf(context.Background(), &v1alpha1.VolumeBackup{}, client.InNamespace("shop")))
	for range 3 {
		c.lookOn()
	}
	if got := c.backups(); len(got) > 0 || c.policy().Status.LastScheduleTime == nil {
		t.Errorf("%v is there again, the last run is told as %v", got, c.policy().Status.LastScheduleTime)
	}
}

// A run that was made before a crash and isn't told of is no missed one, however
// long nobody looked.
func TestARunThatWasMadeIsNotMissed(t *testing.T) {
	c := aCluster(t, aPolicy(func(p *v1alpha1.SnapshotPolicy) {
		p.Spec.StartingDeadline = &metav1.Duration{Duration: time.Minute}
	})...)
	c.lookOn()
	c.clock.SetTime(two)
	c.lookOn()
	c.complete()
	c.manager = nil
	c.clock.SetTime(two.Add(time.Hour))
	c.lookOn()
	if status := c.policy().Status; status.MissedRuns != 0 || !status.LastScheduleTime.Time.Equal(two) || len(c.backups()) != 1 {
		t.Errorf("%d missed, the last run is told as %v, there are %v", status.MissedRuns, status.LastScheduleTime, c.backups())
	}
}

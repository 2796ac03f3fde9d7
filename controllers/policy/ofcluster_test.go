package policy

import (
	"context"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/policy"
)

// aPolicyOfTheCluster is one that selects all workloads, and namespaces.
func aPolicyOfTheCluster(namespaces ...string) []client.Object {
	p := &v1alpha1.ClusterSnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Name: "nightly", Generation: 1, CreationTimestamp: metav1.NewTime(two.AddDate(0, -1, 0))}}
	p.Spec.Schedule, p.Spec.Applications.Selector = "0 2 * * *", &metav1.LabelSelector{}
	all := []client.Object{p}
	for _, name := range namespaces {
		all = append(all, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	return all
}

// itsNamesake is a policy of a namespace with its name.
func itsNamesake(namespace string, change func(*v1alpha1.SnapshotPolicySpec)) *v1alpha1.SnapshotPolicy {
	p := &v1alpha1.SnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "nightly"}}
	p.Spec.Schedule, p.Spec.Applications.Selector = "@yearly", &metav1.LabelSelector{}
	if change != nil {
		change(&p.Spec)
	}
	return p
}

// database is a Deployment that mounts a claim.
func database(namespace, name string) *appsv1.Deployment {
	d := mounting(name, "data")
	d.Namespace, d.UID = namespace, types.UID(namespace+"/"+name)
	return d
}

func (c *cluster) ofCluster() *v1alpha1.ClusterSnapshotPolicy {
	c.Helper()
	var p v1alpha1.ClusterSnapshotPolicy
	c.must(c.Get(context.Background(), client.ObjectKey{Name: "nightly"}, &p))
	return &p
}

// What a tenant writes stops nobody's backups, its own neither.
func TestAPolicyThatCannotRunCoversNobody(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*v1alpha1.SnapshotPolicySpec)
		runs   int
	}{
		"it can run": {nil, 1},
		"its selector can't be read": {func(s *v1alpha1.SnapshotPolicySpec) {
			s.Applications.Selector.MatchLabels = map[string]string{"a": "not a value!"}
		}, 2},
		"its schedule can't be read":        {func(s *v1alpha1.SnapshotPolicySpec) { s.Schedule = "@never" }, 2},
		"it would keep nothing of all that": {func(s *v1alpha1.SnapshotPolicySpec) { s.Retention.Snapshots = &v1alpha1.RetentionRules{KeepLast: -2} }, 2},
	} {
		cluster := aCluster(t, append(aPolicyOfTheCluster("shop", "tenant"), database("shop", "db"), database("tenant", "web"), itsNamesake("tenant", c.change))...)
		cluster.lookOfCluster()
		cluster.clock.SetTime(two)
		cluster.lookOfCluster()
		ready := cluster.ofCluster().Status.Conditions
		isTold := slices.ContainsFunc(ready, func(is metav1.Condition) bool { return strings.Contains(is.Message, "tenant/nightly") })
		if got := cluster.backups(); len(got) != c.runs || isTold != (c.runs == 2) {
			t.Errorf("%s: there are %v, and it tells %+v", what, got, ready)
		}
	}
}

// What a namespace's policy has no more is the cluster's from that moment on.
func TestWhatANamespaceGivesUpIsTheClusters(t *testing.T) {
	own := itsNamesake("shop", nil)
	c := aCluster(t, append(aPolicyOfTheCluster("shop"), database("shop", "db"), own)...)
	c.lookOfCluster()
	c.must(c.Delete(context.Background(), own))
	for _, woken := range wakesNamesake(context.Background(), own) {
		if woken.Name == "nightly" && woken.Namespace == "" {
			c.lookOfCluster()
		}
	}
	c.clock.SetTime(two)
	c.lookOfCluster()
	if got := c.of("db"); got != 1 {
		t.Errorf("on the first night there are %v", c.backups())
	}
}

// A backup counts in one policy, though both have its name.
func TestABackupCountsInOnePolicy(t *testing.T) {
	objects := append(aPolicy(nil), database("shop", "web"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
	objects = append(objects, aPolicyOfTheCluster()...)
	for _, of := range []string{"db", "web", "gone"} {
		b := before(1)
		b.Name, b.Spec.ApplicationRef.Name = "of-"+of, of
		objects = append(objects, b)
	}
	c := aCluster(t, objects...)
	counted := func(state *policy.State) (all []string) {
		for _, b := range state.Backups {
			all = append(all, b.Name)
		}
		return all
	}
	of := observed(c, "shop", func() *v1alpha1.SnapshotPolicy { return &v1alpha1.SnapshotPolicy{} })
	ofCluster := observed(c, "", func() *v1alpha1.ClusterSnapshotPolicy { return &v1alpha1.ClusterSnapshotPolicy{} })
	if got := counted(of); !slices.Equal(got, []string{"of-db", "of-gone"}) {
		t.Errorf("in the namespace's count %v", got)
	}
	if got := counted(ofCluster); !slices.Equal(got, []string{"of-web"}) {
		t.Errorf("in the cluster's count %v", got)
	}
}

// observed is what the policy of a namespace, or of the cluster, sees.
func observed[T object](c *cluster, namespace string, empty func() T) *policy.State {
	c.Helper()
	var seen *policy.State
	loop := loopOf(c.living(), empty)
	loop.Steps = func(s *reconcile.Scope[T]) []reconcile.Step {
		w := &run[T]{Scope: s, Reconciler: c.manager}
		return []reconcile.Step{{Name: "Observe", Take: w.observe}, {Name: "See", Take: func(context.Context) reconcile.Outcome {
			seen = w.state
			return reconcile.Done()
		}}}
	}
	_, err := loop.Reconcile(context.Background(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: "nightly"}})
	c.must(err)
	return seen
}

// What workloads mount is read once, and only where the policy may take them.
func TestWhatIsReadLive(t *testing.T) {
	objects := append(aPolicyOfTheCluster("shop", "bare", "other", "large"), database("shop", "db"), database("large", "one"), database("large", "two"), database("other", "web"))
	p := objects[0].(*v1alpha1.ClusterSnapshotPolicy)
	p.Spec.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"other"}}}}
	for _, o := range objects {
		if ns, is := o.(*corev1.Namespace); is {
			ns.Labels = map[string]string{"kubernetes.io/metadata.name": ns.Name}
		}
	}
	c := aCluster(t, objects...)
	var read []string
	c.living().Live = interceptor.NewClient(c.WithWatch, interceptor.Funcs{
		List: func(ctx context.Context, w client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			var all client.ListOptions
			all.ApplyOptions(opts)
			read = append(read, "all of "+all.Namespace)
			return w.List(ctx, list, opts...)
		},
		Get: func(ctx context.Context, w client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
			if _, is := obj.(*appsv1.Deployment); is {
				read = append(read, key.String())
			}
			return w.Get(ctx, key, obj, opts...)
		},
	})
	for range 2 {
		c.lookOfCluster()
	}
	if slices.Sort(read); !slices.Equal(read, []string{"all of large", "shop/db"}) || c.ofCluster().Status.ApplicationCount != 3 {
		t.Errorf("read are %q, for %d applications", read, c.ofCluster().Status.ApplicationCount)
	}
}

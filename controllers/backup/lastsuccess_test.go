package backup

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Whoever is called by an alert for a policy that is gone can't end it.
func TestTheLastSuccessIsThatOfPoliciesThatAreThere(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme, metav1.AddMetaToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	shop, own := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, &v1alpha1.SnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "hourly"}}
	ofCluster := &v1alpha1.ClusterSnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Name: "nightly"}}
	cache := fake.NewClientBuilder().WithScheme(scheme).WithObjects(shop, own, ofCluster).Build()
	n := &newestSuccess{newest: map[series]time.Time{}}
	for _, of := range []series{{"shop", "hourly"}, {"shop", "nightly"}, {"shop", ""}, {"shop", "gone"}, {"gone", "nightly"}, {"gone", ""}} {
		for _, second := range []int64{7, 9, 8} {
			at := metav1.NewTime(time.Unix(second, 0))
			n.note(of, &at)
		}
		n.note(of, nil)
	}
	tells := func(all ...series) {
		t.Helper()
		var wants strings.Builder
		for i, of := range all {
			if i == 0 {
				wants.WriteString("# HELP lull_backup_last_success_timestamp_seconds When a backup was last completed, in seconds since 1970, by namespace and policy (empty: taken by hand).\n# TYPE lull_backup_last_success_timestamp_seconds gauge\n")
			}
			fmt.Fprintf(&wants, "lull_backup_last_success_timestamp_seconds{namespace=%q,policy=%q} 9\n", of.namespace, of.policy)
		}
		if err := testutil.CollectAndCompare(n, strings.NewReader(wants.String())); err != nil {
			t.Error(err)
		}
	}
	tells(series{"gone", ""}, series{"gone", "nightly"}, series{"shop", ""}, series{"shop", "gone"}, series{"shop", "hourly"}, series{"shop", "nightly"})
	n.askOf(cache)
	tells(series{"shop", ""}, series{"shop", "hourly"}, series{"shop", "nightly"})
	for _, obj := range []client.Object{own, ofCluster} {
		if err := cache.Delete(context.Background(), obj); err != nil {
			t.Fatal(err)
		}
	}
	tells(series{"shop", ""})
	own.ResourceVersion = ""
	if err := cache.Create(context.Background(), own); err != nil {
		t.Fatal(err)
	}
	tells(series{"shop", ""}, series{"shop", "hourly"})
	if err := cache.Delete(context.Background(), shop); err != nil {
		t.Fatal(err)
	}
	tells()
	if len(n.newest) > 0 {
		t.Errorf("still known: %v", n.newest)
	}
}

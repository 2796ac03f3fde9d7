package backup

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

var lastSuccess = prometheus.NewDesc("lull_backup_last_success_timestamp_seconds",
	"When a backup was last completed, in seconds since 1970, by namespace and policy (empty: taken by hand).",
	[]string{"namespace", "policy"}, nil)

// successes tell the newest success of each policy of a namespace, in whatever
// order the objects come: after a start they all come again.
var successes = &newestSuccess{newest: map[series]time.Time{}}

// series is what lastSuccess is told of.
type series struct{ namespace, policy string }

// newestSuccess is told of series whose policy and namespace are there: of what is
// gone nobody is to be called for a backup that doesn't come. Backups may outlive
// their policy, so that those don't say it.
type newestSuccess struct {
	mu     sync.Mutex
	newest map[series]time.Time
	// cache has the policies and the namespaces, nil where nobody knows.
	cache client.Reader
}

// cacheLimit is how long a scrape waits for a cache that isn't filled.
const cacheLimit = time.Second

func (n *newestSuccess) note(of series, at *metav1.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if at != nil && at.After(n.newest[of]) {
		n.newest[of] = at.Time
	}
}

func (n *newestSuccess) askOf(cache client.Reader) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cache = cache
}

// Describe says which metric it is.
func (n *newestSuccess) Describe(to chan<- *prometheus.Desc) { to <- lastSuccess }

// Collect tells all of them where what is there can't be read.
func (n *newestSuccess) Collect(to chan<- prometheus.Metric) {
	n.mu.Lock()
	newest, cache := maps.Clone(n.newest), n.cache
	n.mu.Unlock()
	var there *standing
	if cache != nil && len(newest) > 0 {
		there = read(cache)
	}
	for of, at := range newest {
		switch {
		case there == nil || there.has(of):
			to <- prometheus.MustNewConstMetric(lastSuccess, prometheus.GaugeValue, float64(at.Unix()), of.namespace, of.policy)
		case !there.namespaces[of.namespace]:
			n.forget(of)
		}
	}
}

// forget forgets what can't come again: the backups of a namespace go with it.
func (n *newestSuccess) forget(of series) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.newest, of)
}

// standing are the policies that there are, those of the cluster without a
// namespace, and the namespaces.
type standing struct {
	namespaces map[string]bool
	policies   map[types.NamespacedName]bool
}

func (s *standing) has(of series) bool {
	return s.namespaces[of.namespace] &&
		(of.policy == "" || s.policies[types.NamespacedName{Namespace: of.namespace, Name: of.policy}] || s.policies[types.NamespacedName{Name: of.policy}])
}

// read is nil where it can't be read.
func read(cache client.Reader) *standing {
	ctx, cancel := context.WithTimeout(context.Background(), cacheLimit) //nolint:forbidigo // a scrape brings none
	defer cancel()
	var own v1alpha1.SnapshotPolicyList
	var ofCluster v1alpha1.ClusterSnapshotPolicyList
	var namespaces metav1.PartialObjectMetadataList
	namespaces.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	for _, list := range []client.ObjectList{&own, &ofCluster, &namespaces} {
		if err := cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return nil
		}
	}
	s := &standing{namespaces: map[string]bool{}, policies: map[types.NamespacedName]bool{}}
	for i := range namespaces.Items {
		s.namespaces[namespaces.Items[i].Name] = true
	}
	for i := range own.Items {
		s.policies[client.ObjectKeyFromObject(&own.Items[i])] = true
	}
	for i := range ofCluster.Items {
		s.policies[client.ObjectKeyFromObject(&ofCluster.Items[i])] = true
	}
	return s
}

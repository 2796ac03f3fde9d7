package shipped

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings,verbs=get,resourceNames=lull-clustersnapshotpolicy;lull-manager-exec;lull-manager-pods;lull-manager-volumes;lull-manager-workloads;lull-resticrepository;lull-snapshotpolicy;lull-status;lull-volumebackup-exec;lull-volumerestore-owner
// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,verbs=get,resourceNames=clustersnapshotpolicies.lull.dev;resticrepositories.lull.dev;snapshotpolicies.lull.dev;volumebackups.lull.dev;volumerestores.lull.dev

const (
	// lookEvery is how often it is looked while all is there, and lookAgainAfter how
	// soon where something isn't, or couldn't be read.
	lookEvery      = time.Hour
	lookAgainAfter = time.Minute
)

var missing = prometheus.NewGauge(prometheus.GaugeOpts{
	Name: "lull_policies_missing",
	Help: "Admission policies, bindings and CRDs of Lull that aren't in the cluster as they were shipped, as of the last look, an hour ago at most.",
})

func init() { metrics.Registry.MustRegister(missing) }

// Look looks at the start of the manager that works, and every hour, whether the
// bounds are as they were shipped.
type Look struct {
	// Live reads past the cache.
	Live client.Reader
	// Account and Image are the manager's own, which the policies name.
	Account, Image string
	// Tell tells who looks after the operator, nil where nobody is to be told but by
	// the log and the metric.
	Tell  func(context.Context, Found) error
	Clock clock.Clock
	Log   logr.Logger
}

// Found is what a look found.
type Found struct {
	// Missing are the objects that aren't there, or aren't as they were shipped, with
	// where they differ: "CustomResourceDefinition x differs in spec.names".
	Missing []string
}

// NeedLeaderElection is true: of several managers the one that works looks.
func (*Look) NeedLeaderElection() bool { return true }

// Start looks until the context ends.
func (l *Look) Start(ctx context.Context) error {
	said := ""
	for {
		found, err := l.Find(ctx)
		if err == nil {
			missing.Set(float64(len(found.Missing)))
			said, err = found.String(), l.tell(ctx, found, said)
		}
		next := lookEvery
		if err != nil || len(found.Missing) > 0 {
			next = lookAgainAfter
		}
		if err != nil && ctx.Err() == nil {
			l.Log.Error(err, "could not look whether admission policies and CRDs are as they were shipped")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.Clock.After(next):
		}
	}
}

// tell tells what was found, in the log only where that is something else than the
// last time.
func (l *Look) tell(ctx context.Context, found Found, said string) error {
	switch text := found.String(); {
	case text == said:
	case len(found.Missing) > 0:
		l.Log.Info("admission policies or CRDs aren't as they were shipped", "error", text)
	default:
		l.Log.Info("admission policies and CRDs are as they were shipped")
	}
	if l.Tell == nil {
		return nil
	}
	return l.Tell(ctx, found)
}

// Find compares what is in the cluster with what was shipped.
func (l *Look) Find(ctx context.Context) (found Found, err error) {
	all, err := manifests(l.Account, l.Image)
	if err != nil {
		return found, err
	}
	slices.SortFunc(all, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetName(), b.GetName()))
	})
	for _, shipped := range all {
		what := shipped.GetKind() + " " + shipped.GetName()
		there := &unstructured.Unstructured{}
		there.SetGroupVersionKind(shipped.GroupVersionKind())
		err := l.Live.Get(ctx, client.ObjectKeyFromObject(shipped), there)
		switch {
		case apierrors.IsNotFound(err) || err == nil && !there.GetDeletionTimestamp().IsZero():
			found.Missing = append(found.Missing, what+" is missing")
		case err != nil:
			return found, err
		default:
			if at := differs(shipped, there); at != "" {
				found.Missing = append(found.Missing, fmt.Sprintf("%s differs in %s", what, at))
			}
		}
	}
	return found, nil
}

// String is what was found, for people.
func (f Found) String() string {
	if len(f.Missing) == 0 {
		return "all admission policies, bindings and CRDs are as they were shipped"
	}
	return strings.Join(f.Missing, "; ") + ". Apply deploy/ of this version again: until then not all is refused that should be"
}

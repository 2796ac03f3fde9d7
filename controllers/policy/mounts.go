package policy

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/snapshot/policy"
	"github.com/lull-dev/lull/snapshot/workload"
)

// mounts are the claims that workloads mount, as they were read last. The cache
// has no pod templates: of ten thousand workloads they would be most of it. What
// is known of a generation stays true, so that a workload is read once for each.
type mounts struct {
	mu sync.Mutex
	of map[types.UID]mounted
	// swept is when what nobody asks for any more was last forgotten.
	swept time.Time
}

type mounted struct {
	generation int64
	claims     *workload.MountedClaims
	asked      time.Time
}

// mountsFor is how long is known what nobody asks for: a policy of each night
// asks at least once a day.
const mountsFor = 25 * time.Hour

// known are the claims of a workload as the cache has it, nil where it has to be
// read.
func (k *mounts) known(m *metav1.PartialObjectMetadata, now time.Time) *workload.MountedClaims {
	k.mu.Lock()
	defer k.mu.Unlock()
	its, is := k.of[m.UID]
	if !is || m.Generation == 0 || its.generation < m.Generation {
		return nil
	}
	its.asked = now
	k.of[m.UID] = its
	return its.claims
}

func (k *mounts) note(w *workload.Workload, now time.Time) *workload.MountedClaims {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sweep(now)
	if k.of == nil {
		k.of = map[types.UID]mounted{}
	}
	claims := w.MountedClaims()
	k.of[w.Meta.UID] = mounted{w.Meta.Generation, claims, now}
	return claims
}

func (k *mounts) sweep(now time.Time) {
	if now.Sub(k.swept) < sweepEvery {
		return
	}
	k.swept = now
	for uid, its := range k.of {
		if now.Sub(its.asked) > mountsFor {
			delete(k.of, uid)
		}
	}
}

// addMounts says of the candidates of one kind, which are there by their names,
// which claims they mount, where that matters to the policy.
func (w *run[T]) addMounts(ctx context.Context, p *policy.Policy, all *metav1.PartialObjectMetadataList, candidates []policy.Candidate) error {
	unknown := map[string]*policy.Candidate{}
	for i := range candidates {
		c := &candidates[i]
		if !p.MayTake(c) {
			continue
		}
		if c.Mounts = w.mounts.known(&all.Items[i], w.Now()); c.Mounts == nil {
			unknown[c.Ref.Name] = c
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return w.readMounts(ctx, unknown)
}

// readMounts reads workloads of one kind and namespace: by name where it is one,
// else all of them at once.
func (w *run[T]) readMounts(ctx context.Context, unknown map[string]*policy.Candidate) error {
	note := func(obj runtime.Object) error {
		if o, is := obj.(workload.Object); is && unknown[o.GetName()] != nil {
			unknown[o.GetName()].Mounts = w.mounts.note(workload.Of(o, nil), w.Now())
		}
		return nil
	}
	for _, c := range unknown {
		if len(unknown) == 1 {
			obj, err := live.Reader{Reader: w.Live}.WorkloadObject(ctx, c.Namespace, c.Ref)
			if err != nil || obj == nil {
				return err
			}
			return note(obj)
		}
		all, err := w.typedList(c.Ref.Kind)
		if err == nil {
			err = w.Live.List(ctx, all, client.InNamespace(c.Namespace))
		}
		if err != nil {
			return err
		}
		return meta.EachListItem(all, note)
	}
	return nil
}

func (w *run[T]) typedList(kind v1alpha1.ApplicationKind) (client.ObjectList, error) {
	gvk, err := apiutil.GVKForObject(workload.Empty(kind), w.Scheme())
	if err != nil {
		return nil, err
	}
	all, err := w.Scheme().New(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	list, _ := all.(client.ObjectList) // each list of the API is one
	return list, err
}

// leftOut are the claims of an application that say of themselves that they
// aren't backed up. Most namespaces have none, and nothing is read; most workloads
// mount none of those that there are, and one object is. Of an application that
// can't be read its backup tells.
func (w *run[T]) leftOut(ctx context.Context, app policy.Application) ([]string, error) {
	if app.Ref.Kind == v1alpha1.KindPersistentVolumeClaim {
		return nil, nil
	}
	out, err := w.claimsOut(ctx, app.Namespace)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	from := live.Reader{Reader: w.Live}
	obj, err := from.WorkloadObject(ctx, app.Namespace, app.Ref)
	if err != nil || obj != nil && !slices.ContainsFunc(out, workload.Of(obj, nil).MayMount) {
		return nil, err
	}
	there, err := from.Application(ctx, app.Namespace, app.Ref)
	if problem := (*v1alpha1.Problem)(nil); errors.As(err, &problem) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(out, func(claim string) bool { return !slices.Contains(there.Claims, claim) }), nil
}

func (w *run[T]) claimsOut(ctx context.Context, namespace string) (names []string, err error) {
	var all metav1.PartialObjectMetadataList
	all.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"))
	err = w.List(ctx, &all, client.InNamespace(namespace), client.MatchingFields{byOut: "true"}, client.UnsafeDisableDeepCopy)
	for i := range all.Items {
		names = append(names, all.Items[i].Name)
	}
	return names, err
}

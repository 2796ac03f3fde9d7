package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/framework"
)

// outage is how long an application was down, and when what caused it was done.
type outage struct {
	length   time.Duration
	from, to time.Time
}

func lengths(all []outage) []time.Duration {
	var each []time.Duration
	for _, o := range all {
		each = append(each, o.length)
	}
	return each
}

// typical is the outage of the median length.
func typical(all []outage) outage {
	length := median(lengths(all))
	return all[slices.IndexFunc(all, func(o outage) bool { return o.length == length })]
}

// outage is that of an application while something is done that stops it and
// starts it again: from the moment that no pod of it serves any more to the
// moment that one serves again, as its clients see it. A watch tells, the same
// for whatever is done.
func (b *bench) outage(ctx context.Context, app framework.Application, do func(context.Context) error) (o outage, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	changes, err := b.watchPods(ctx, app)
	if err != nil {
		return o, err
	}
	defer changes.Stop()
	o.from = time.Now()
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return do(ctx) })
	both.Go(func() (err error) { o.length, err = awaitOutage(ctx, changes); return err })
	err = both.Wait()
	o.to = time.Now()
	return o, err
}

func awaitOutage(ctx context.Context, changes watch.Interface) (length time.Duration, err error) {
	var served bool
	var down time.Time
	err = follow(ctx, changes, func(pods map[types.UID]*corev1.Pod) bool {
		serves := anyServes(pods)
		switch {
		case served && !serves:
			down = time.Now()
		case serves && !served && !down.IsZero():
			length = time.Since(down)
		}
		served = serves
		return length > 0
	})
	return length, err
}

func anyServes(pods map[types.UID]*corev1.Pod) bool {
	for _, p := range pods {
		if framework.Serves(p) {
			return true
		}
	}
	return false
}

// restart stops an application and starts it again, as anybody would without
// Lull, and not a moment later than its pods are gone.
func (b *bench) restart(ctx context.Context, app framework.Application) error {
	changes, err := b.watchPods(ctx, app)
	if err != nil {
		return err
	}
	defer changes.Stop()
	if err := b.scale(ctx, app, 0); err != nil {
		return err
	}
	// The first change tells of a pod that is there: none is left only when
	// all have gone.
	if err := follow(ctx, changes, func(pods map[types.UID]*corev1.Pod) bool { return len(pods) == 0 }); err != nil {
		return err
	}
	return b.scale(ctx, app, app.Replicas)
}

func (b *bench) scale(ctx context.Context, app framework.Application, replicas int32) error {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: app.Name}}
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, replicas)
	return b.Merge(ctx, deployment, patch)
}

// watchPods begins with the pods that are there.
func (b *bench) watchPods(ctx context.Context, app framework.Application) (watch.Interface, error) {
	return b.Watch(ctx, &corev1.PodList{}, client.InNamespace(app.Namespace), client.MatchingLabels{"app": app.Name})
}

// follow shows the pods after each change, until they are as wanted.
func follow(ctx context.Context, changes watch.Interface, asWanted func(map[types.UID]*corev1.Pod) bool) error {
	pods := map[types.UID]*corev1.Pod{}
	for {
		select {
		case change := <-changes.ResultChan():
			p, ok := change.Object.(*corev1.Pod)
			if !ok {
				return errors.New("the watch of the pods ended")
			}
			if pods[p.UID] = p; change.Type == watch.Deleted {
				delete(pods, p.UID)
			}
			if asWanted(pods) {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("the pods of the application didn't stop and start: %w", ctx.Err())
		}
	}
}

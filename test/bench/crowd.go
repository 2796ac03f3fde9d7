package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/framework"
)

// crowdLabel marks the contents of the crowd.
const crowdLabel = "lull-bench/crowd"

// finalizerContent is what the snapshot controller adds to each content
// (external-snapshotter, VolumeSnapshotContentFinalizer). The crowd has it from
// the beginning, so that the controller is not at work on it while we measure.
const finalizerContent = "snapshot.storage.kubernetes.io/volumesnapshotcontent-bound-protection"

// crowdAtOnce is how many requests for the crowd are under way at once.
const crowdAtOnce = 16

// crowdPage is how many of the crowd are read at a time: a busy API server
// doesn't send all of them within the time that a request may take.
const crowdPage = 500

// crowded measures freezes of one volume without and then with n contents in
// the API server that have nothing to do with them.
func (b *bench) crowded(ctx context.Context, n, rounds int) (alone, crowded figures, err error) {
	take := func(f *figures) error {
		f.n = 1
		for round := range rounds + 1 {
			if err := b.round(ctx, f, 1, round > 0); err != nil {
				return err
			}
		}
		return nil
	}
	if err := take(&alone); err != nil {
		return alone, crowded, err
	}
	defer func() { err = errors.Join(err, b.disperse(context.WithoutCancel(ctx))) }()
	if err := b.gather(ctx, n); err != nil {
		return alone, crowded, err
	}
	return alone, crowded, take(&crowded)
}

// gather makes n contents of a driver that nobody runs.
func (b *bench) gather(ctx context.Context, n int) error {
	fmt.Fprintf(os.Stderr, "making %d contents\n", n)
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(crowdAtOnce)
	for i := range n {
		all.Go(func() error { return b.Create(ctx, crowdContent(i)) })
	}
	return all.Wait()
}

func crowdContent(i int) *snapshotv1.VolumeSnapshotContent {
	name := fmt.Sprintf("lull-bench-crowd-%d", i)
	return &snapshotv1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{crowdLabel: "true"}, Finalizers: []string{finalizerContent}},
		Spec: snapshotv1.VolumeSnapshotContentSpec{
			DeletionPolicy:    snapshotv1.VolumeSnapshotContentRetain,
			Driver:            "crowd.example.com",
			Source:            snapshotv1.VolumeSnapshotContentSource{SnapshotHandle: ptr.To(name)},
			VolumeSnapshotRef: corev1.ObjectReference{Namespace: "lull-bench-crowd", Name: name},
		},
	}
}

// disperse removes them, one by one: to delete all by one request takes longer
// than the API server lets a request take. Their finalizer is ours to remove:
// nobody runs their driver.
func (b *bench) disperse(ctx context.Context) error {
	return framework.Await(ctx, 10*time.Minute, "the crowd is gone", func(ctx context.Context) error {
		var left snapshotv1.VolumeSnapshotContentList
		if err := b.List(ctx, &left, client.MatchingLabels{crowdLabel: "true"}, client.Limit(crowdPage)); err != nil || len(left.Items) == 0 {
			return err
		}
		all, ctx := errgroup.WithContext(ctx)
		all.SetLimit(crowdAtOnce)
		for i := range left.Items {
			all.Go(func() error { return b.remove(ctx, &left.Items[i]) })
		}
		return errors.Join(all.Wait(), errors.New("there are more contents"))
	})
}

func (b *bench) remove(ctx context.Context, content *snapshotv1.VolumeSnapshotContent) error {
	if err := b.Delete(ctx, content); err != nil {
		return client.IgnoreNotFound(err)
	}
	free := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	return client.IgnoreNotFound(b.Patch(ctx, content, free))
}

func printCrowded(out io.Writer, alone, crowded figures, n, rounds int) {
	fmt.Fprintf(out, "\nHow long an application is frozen, in ms; 1 volume, %d rounds\n\n  without any other contents   %s\n  with %d others            %s\n",
		rounds, ms(median(alone.frozen())), n, ms(median(crowded.frozen())))
}

func crowdedLines(alone, crowded figures, n, rounds int) []line {
	value, baseline := median(crowded.frozen()).Seconds(), median(alone.frozen()).Seconds()
	return []line{{
		Name: "freeze-crowded", N: n, Unit: "s", Value: value, Baseline: baseline, Ratio: value / baseline,
		P99: quantile(.99, crowded.frozen()).Seconds(), BaselineP99: quantile(.99, alone.frozen()).Seconds(), Rounds: rounds,
	}}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// patience bounds each wait for the cluster.
const patience = 3 * time.Minute

// A hold that costs next to nothing: what is measured is ours.
const lightHold = "echo HELD; cat >/dev/null; echo STILL_HELD"

type bench struct {
	*framework.Cluster
	namespace string
	app       framework.Application
	// class of the snapshots, nil for the default.
	class *string
	// grouped: several volumes are to be cut as a group.
	grouped bool
}

// slowStorage makes a class of the test driver that takes its time to cut.
func (b *bench) slowStorage(ctx context.Context, delay time.Duration) (forget func(), err error) {
	storage, err := b.StorageClass(ctx)
	if err != nil {
		return nil, err
	}
	class := framework.SnapshotClass(storage.Provisioner, framework.Parameters("cutDelay", delay.String()))
	if err := b.Create(ctx, class); err != nil {
		return nil, err
	}
	b.class = &class.Name
	return func() {
		if err := b.Delete(context.WithoutCancel(ctx), class); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		b.class = nil
	}, nil
}

// groups makes a class by which several volumes are cut as a group.
func (b *bench) groups(ctx context.Context) (forget func(), err error) {
	storage, err := b.StorageClass(ctx)
	if err != nil {
		return nil, err
	}
	class := framework.GroupClass(storage.Provisioner, nil)
	class.SetAnnotations(map[string]string{"groupsnapshot.storage.kubernetes.io/is-default-class": "true"})
	if err := b.Create(ctx, class); err != nil {
		return nil, err
	}
	b.grouped = true
	return func() {
		if err := b.Delete(context.WithoutCancel(ctx), class); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		b.grouped = false
	}, nil
}

// started starts the application that is frozen, where it isn't yet.
func (b *bench) started(ctx context.Context) error {
	if b.app.Name != "" {
		return nil
	}
	return b.start(ctx, slices.Max(sizes))
}

// start starts an application with so many volumes.
func (b *bench) start(ctx context.Context, volumes int) error {
	var claims []string
	for i := range volumes {
		claims = append(claims, fmt.Sprintf("data-%d", i))
	}
	b.app = framework.Tools(b.namespace, "app", "", claims...)
	if err := b.Start(ctx, b.app); err != nil {
		return err
	}
	return await(ctx, "the application is ready", func(ctx context.Context) error { _, err := b.ReadyPods(ctx, b.app); return err })
}

// bareSnapshots creates n snapshots at once, as anybody would without Lull, and
// returns the time until all are seen cut by a watch.
func (b *bench) bareSnapshots(ctx context.Context, n int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	changes, err := b.Watch(ctx, &snapshotv1.VolumeSnapshotList{}, client.InNamespace(b.namespace))
	if err != nil {
		return 0, err
	}
	defer changes.Stop()
	began := time.Now()
	var all errgroup.Group
	for _, claim := range b.app.Claims[:n] {
		all.Go(func() error { return b.Create(ctx, b.bareSnapshot(claim)) })
	}
	if err := errors.Join(all.Wait(), awaitCuts(ctx, changes, n)); err != nil {
		return 0, err
	}
	took := time.Since(began)
	return took, b.clear(ctx, &snapshotv1.VolumeSnapshot{})
}

func (b *bench) bareSnapshot(claim string) *snapshotv1.VolumeSnapshot {
	return &snapshotv1.VolumeSnapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "bare-" + claim},
		Spec: snapshotv1.VolumeSnapshotSpec{
			VolumeSnapshotClassName: b.class,
			Source:                  snapshotv1.VolumeSnapshotSource{PersistentVolumeClaimName: &claim},
		},
	}
}

func awaitCuts(ctx context.Context, changes watch.Interface, n int) error {
	cut := map[string]bool{}
	for len(cut) < n {
		select {
		case change, open := <-changes.ResultChan():
			if !open {
				return errors.New("the watch of the snapshots ended")
			}
			if s, ok := change.Object.(*snapshotv1.VolumeSnapshot); ok && s.Status != nil && s.Status.CreationTime != nil {
				cut[s.Name] = true
			}
		case <-ctx.Done():
			return fmt.Errorf("%d of %d snapshots were cut: %w", len(cut), n, ctx.Err())
		}
	}
	return nil
}

// freeze is one freeze and its parts.
type freeze struct {
	// frozen: from the first HELD to the last release.
	frozen time.Duration
	// hold: from the intent to HELD, not frozen yet. cut: from HELD until all
	// are seen cut. release: from there until the last session has ended.
	hold, cut, release time.Duration
}

// backup backs up n volumes.
func (b *bench) backup(ctx context.Context, n int) (freeze, error) {
	vb := framework.NewBackup(b.namespace, b.app.Ref(), framework.Hold(lightHold), framework.Attempts(1), func(s *v1alpha1.VolumeBackupSpec) {
		s.Volumes.Include, s.VolumeSnapshotClassName = b.app.Claims[:n], b.class
	})
	if err := b.backUp(ctx, vb); err != nil {
		return freeze{}, err
	}
	if len(vb.Status.Volumes) != n {
		return freeze{}, fmt.Errorf("backup %s: %s", vb.Name, vb.Status.Message)
	}
	q := vb.Status.Quiesce
	if group := q.GroupSnapshotName != ""; group != (b.grouped && n > 1) {
		return freeze{}, fmt.Errorf("backup %s was cut as a group: %t", vb.Name, group)
	}
	return freeze{
		frozen:  q.FrozenFor.Duration,
		hold:    q.FrozenAt.Sub(q.StartedAt.Time),
		cut:     q.CutAt.Sub(q.FrozenAt.Time),
		release: q.ThawedAt.Sub(q.CutAt.Time),
	}, b.clear(ctx, &v1alpha1.VolumeBackup{})
}

// backUp makes a backup and waits until it is complete, and proven.
func (b *bench) backUp(ctx context.Context, vb *v1alpha1.VolumeBackup) error {
	if err := b.Create(ctx, vb); err != nil {
		return err
	}
	return b.awaitProven(ctx, vb, patience)
}

// clear deletes all of a kind and waits until nothing is left of any snapshot:
// the next measurement finds storage that has nothing else to do.
func (b *bench) clear(ctx context.Context, kind client.Object) error {
	return b.clearWithin(ctx, kind, patience)
}

func (b *bench) clearWithin(ctx context.Context, kind client.Object, limit time.Duration) error {
	if err := b.DeleteAllOf(ctx, kind, client.InNamespace(b.namespace)); err != nil {
		return err
	}
	return framework.Await(ctx, limit, "the snapshots are gone", func(ctx context.Context) error {
		contents, err := b.SnapshotContents(ctx, b.namespace)
		if len(contents) > 0 {
			err = fmt.Errorf("%s is there", contents[0].Name)
		}
		return err
	})
}

func await(ctx context.Context, what string, check func(context.Context) error) error {
	return framework.Await(ctx, patience, what, check)
}

package main

import (
	"context"
	"crypto/rand"
	"slices"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// aClass makes a class of snapshots with faults, for this round.
func (tb *testbed) aClass(ctx context.Context, faults ...string) (string, error) {
	storage, err := tb.StorageClass(ctx)
	if err != nil {
		return "", err
	}
	return tb.forThisRound(ctx, framework.SnapshotClass(storage.Provisioner, parameters(faults)))
}

// aRetainClass makes a class of snapshots whose copies outlive them, for this
// round.
func (tb *testbed) aRetainClass(ctx context.Context) (string, error) {
	storage, err := tb.StorageClass(ctx)
	if err != nil {
		return "", err
	}
	class := framework.SnapshotClass(storage.Provisioner, nil)
	class.DeletionPolicy = snapshotv1.VolumeSnapshotContentRetain
	return tb.forThisRound(ctx, class)
}

// aRetainGroupClass makes such a class of groups.
func (tb *testbed) aRetainGroupClass(ctx context.Context) (string, error) {
	storage, err := tb.StorageClass(ctx)
	if err != nil {
		return "", err
	}
	class := framework.GroupClass(storage.Provisioner, nil)
	class.Object["deletionPolicy"] = string(snapshotv1.VolumeSnapshotContentRetain)
	return tb.forThisRound(ctx, class)
}

// ofRetainClass begins a scenario with one backup whose class, which is made so,
// has copies outlive their snapshots.
func ofRetainClass(made func(*testbed, context.Context) (string, error), of func(string) change, changes ...change) func(context.Context, *testbed) ([]*v1alpha1.VolumeBackup, error) {
	return func(ctx context.Context, tb *testbed) ([]*v1alpha1.VolumeBackup, error) {
		class, err := made(tb, ctx)
		if err != nil {
			return nil, err
		}
		return one(append(slices.Clone(changes), of(class))...)(ctx, tb)
	}
}

// aGroupClass makes a class of groups with faults, for this round.
func (tb *testbed) aGroupClass(ctx context.Context, faults ...string) (string, error) {
	storage, err := tb.StorageClass(ctx)
	if err != nil {
		return "", err
	}
	return tb.forThisRound(ctx, framework.GroupClass(storage.Provisioner, parameters(faults)))
}

// aStorageClass makes a storage class with faults, for this round.
func (tb *testbed) aStorageClass(ctx context.Context, faults ...string) (string, error) {
	class, err := tb.SimilarStorageClass(ctx)
	if err != nil {
		return "", err
	}
	class.Parameters = parameters(faults)
	return tb.forThisRound(ctx, class)
}

func (tb *testbed) forThisRound(ctx context.Context, class client.Object) (name string, err error) {
	if err := tb.Create(ctx, class); err != nil {
		return "", err
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.made = append(tb.made, class)
	return class.GetName(), nil
}

// parameters are those of a class with faults. The rounds of a testbed share its
// volumes, and each counts its own.
func parameters(faults []string) map[string]string {
	set := framework.Parameters(faults...)
	set["counter"] = rand.Text()
	return set
}

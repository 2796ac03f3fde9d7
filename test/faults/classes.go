package main

import (
	"context"
	"crypto/rand"

	"sigs.k8s.io/controller-runtime/pkg/client"

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

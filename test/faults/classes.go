package main

import (
	"context"
	"crypto/rand"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/framework"
)

// aClass makes a class of snapshots with faults, for this round.
func (tb *testbed) aClass(ctx context.Context, faults ...string) (string, error) {
	var standard snapshotv1.VolumeSnapshotClass
	if err := tb.Get(ctx, client.ObjectKey{Name: "standard"}, &standard); err != nil {
		return "", err
	}
	return tb.forThisRound(ctx, &snapshotv1.VolumeSnapshotClass{
		ObjectMeta: metav1.ObjectMeta{GenerateName: tb.namespace + "-"},
		Driver:     standard.Driver, DeletionPolicy: standard.DeletionPolicy, Parameters: parameters(faults),
	})
}

// aGroupClass makes a class of groups with faults, for this round.
func (tb *testbed) aGroupClass(ctx context.Context, faults ...string) (string, error) {
	var standard snapshotv1.VolumeSnapshotClass
	if err := tb.Get(ctx, client.ObjectKey{Name: "standard"}, &standard); err != nil {
		return "", err
	}
	return tb.forThisRound(ctx, framework.GroupClass(standard.Driver, parameters(faults)))
}

// aStorageClass makes a storage class with faults, for this round.
func (tb *testbed) aStorageClass(ctx context.Context, faults ...string) (string, error) {
	var standard storagev1.StorageClass
	if err := tb.Get(ctx, client.ObjectKey{Name: "standard"}, &standard); err != nil {
		return "", err
	}
	return tb.forThisRound(ctx, &storagev1.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{GenerateName: tb.namespace + "-"},
		Provisioner: standard.Provisioner, VolumeBindingMode: standard.VolumeBindingMode, Parameters: parameters(faults),
	})
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
	set := map[string]string{"counter": rand.Text()}
	for i := 0; i+1 < len(faults); i += 2 {
		set[faults[i]] = faults[i+1]
	}
	return set
}

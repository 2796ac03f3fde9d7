package main

import (
	"context"
	"crypto/rand"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/fixture"
)

// aClass makes a class of snapshots with faults, for this round.
func (g *ground) aClass(ctx context.Context, faults ...string) (string, error) {
	var standard snapshotv1.VolumeSnapshotClass
	if err := g.Get(ctx, client.ObjectKey{Name: "standard"}, &standard); err != nil {
		return "", err
	}
	return g.forThisRound(ctx, &snapshotv1.VolumeSnapshotClass{
		ObjectMeta: metav1.ObjectMeta{GenerateName: g.namespace + "-"},
		Driver:     standard.Driver, DeletionPolicy: standard.DeletionPolicy, Parameters: parameters(faults),
	})
}

// aGroupClass makes a class of groups with faults, for this round.
func (g *ground) aGroupClass(ctx context.Context, faults ...string) (string, error) {
	var standard snapshotv1.VolumeSnapshotClass
	if err := g.Get(ctx, client.ObjectKey{Name: "standard"}, &standard); err != nil {
		return "", err
	}
	return g.forThisRound(ctx, fixture.GroupClass(standard.Driver, parameters(faults)))
}

// aStorageClass makes a storage class with faults, for this round.
func (g *ground) aStorageClass(ctx context.Context, faults ...string) (string, error) {
	var standard storagev1.StorageClass
	if err := g.Get(ctx, client.ObjectKey{Name: "standard"}, &standard); err != nil {
		return "", err
	}
	return g.forThisRound(ctx, &storagev1.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{GenerateName: g.namespace + "-"},
		Provisioner: standard.Provisioner, VolumeBindingMode: standard.VolumeBindingMode, Parameters: parameters(faults),
	})
}

func (g *ground) forThisRound(ctx context.Context, class client.Object) (name string, err error) {
	if err := g.Create(ctx, class); err != nil {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.made = append(g.made, class)
	return class.GetName(), nil
}

// parameters are those of a class with faults. The rounds of a ground share its
// volumes, and each counts its own.
func parameters(faults []string) map[string]string {
	set := map[string]string{"counter": rand.Text()}
	for i := 0; i+1 < len(faults); i += 2 {
		set[faults[i]] = faults[i+1]
	}
	return set
}

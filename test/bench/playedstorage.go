package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// playedDriver is what nobody runs: the benchmark answers for it.
const playedDriver = "bench.csi.lull.dev"

// contentOf is what the snapshot controller calls a snapshot's content.
func contentOf(snapshot *snapshotv1.VolumeSnapshot) string {
	return "snapcontent-" + string(snapshot.UID)
}

// playStorage does from now on, until ctx ends, to each new snapshot what the
// snapshot controller and a driver's sidecar would: it is bound, cut and ready
// at once. failed is told where that isn't possible.
func (c *controlPlane) playStorage(ctx context.Context, failed func(error)) error {
	return c.follow(ctx, &snapshotv1.VolumeSnapshotList{}, func(change watch.Event) {
		snapshot, is := change.Object.(*snapshotv1.VolumeSnapshot)
		if !is || change.Type != watch.Added || snapshot.Status != nil {
			return
		}
		go func() {
			if err := c.serve(ctx, snapshot); client.IgnoreNotFound(err) != nil && ctx.Err() == nil {
				failed(fmt.Errorf("VolumeSnapshot %s: %w", client.ObjectKeyFromObject(snapshot), err))
			}
		}()
	}, failed)
}

func (c *controlPlane) serve(ctx context.Context, snapshot *snapshotv1.VolumeSnapshot) error {
	content := &snapshotv1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{Name: contentOf(snapshot)},
		Spec: snapshotv1.VolumeSnapshotContentSpec{
			DeletionPolicy:          snapshotv1.VolumeSnapshotContentDelete,
			Driver:                  playedDriver,
			VolumeSnapshotClassName: snapshot.Spec.VolumeSnapshotClassName,
			Source:                  snapshotv1.VolumeSnapshotContentSource{VolumeHandle: snapshot.Spec.Source.PersistentVolumeClaimName},
			VolumeSnapshotRef: corev1.ObjectReference{
				Kind: "VolumeSnapshot", APIVersion: snapshotv1.SchemeGroupVersion.String(),
				Namespace: snapshot.Namespace, Name: snapshot.Name, UID: snapshot.UID,
			},
		},
	}
	if err := c.Create(ctx, content); err != nil {
		return err
	}
	now := time.Now()
	err := c.report(ctx, content, map[string]any{
		"snapshotHandle": "copy-" + string(snapshot.UID), "creationTime": now.UnixNano(), "readyToUse": true, "restoreSize": 1 << 30,
	})
	if err != nil {
		return err
	}
	return c.report(ctx, snapshot, map[string]any{
		"boundVolumeSnapshotContentName": content.Name, "creationTime": now.UTC().Format(time.RFC3339), "readyToUse": true, "restoreSize": "1Gi",
	})
}

// report writes a status, whatever there was.
func (c *controlPlane) report(ctx context.Context, o client.Object, status any) error {
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	as := client.Client(c)
	if _, isOurs := o.(*v1alpha1.VolumeBackup); isOurs {
		as = c.operator
	}
	return as.Status().Patch(ctx, o, client.RawPatch(types.MergePatchType, patch))
}

package backup

import (
	"context"
	"fmt"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"golang.org/x/sync/errgroup"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/names"
)

// singleCutter has each volume cut by a VolumeSnapshot of its own, all at once.
type singleCutter struct {
	*run
	// nonce marks what the attempt makes. It is there until the cut.
	nonce string
}

func (c *singleCutter) keys() []waitKey {
	var keys []waitKey
	for _, v := range c.Status.Volumes {
		keys = append(keys, waitKey{namespace: c.Namespace, name: v.SnapshotName})
	}
	return keys
}

func (c *singleCutter) prepare(context.Context) error { return nil }

func (c *singleCutter) create(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	for i := range c.Status.Volumes {
		v := &c.Status.Volumes[i]
		all.Go(func() (err error) {
			v.SnapshotUID, err = c.make(ctx, c.nonce, newSnapshot(c.VolumeBackup, *v), &snapshotv1.VolumeSnapshot{})
			if err != nil {
				return fmt.Errorf("VolumeSnapshot %s could not be created: %w", v.SnapshotName, err)
			}
			return nil
		})
	}
	return all.Wait()
}

func (c *singleCutter) observe(ctx context.Context, from client.Reader) (map[string]cut.Observed, error) {
	return c.observeSnapshots(ctx, live.Reader{Reader: from}.Snapshot)
}

func (c *singleCutter) settle(context.Context) (settled, error) { return settled{}, nil }

// readSnapshot reads a snapshot with its content, each nil where it isn't there.
type readSnapshot func(ctx context.Context, namespace, name string) (*snapshotv1.VolumeSnapshot, *snapshotv1.VolumeSnapshotContent, error)

// observeSnapshots reads the backup's snapshots, by their claims, and compares them
// with those that are on record.
func (w *run) observeSnapshots(ctx context.Context, read readSnapshot) (map[string]cut.Observed, error) {
	observed := make(map[string]cut.Observed, len(w.Status.Volumes))
	for i := range w.Status.Volumes {
		v := &w.Status.Volumes[i]
		if v.SnapshotName == "" {
			continue // one of a group that isn't made yet
		}
		snap, content, err := read(ctx, w.Namespace, v.SnapshotName)
		if err != nil {
			return nil, err
		}
		if snap == nil {
			continue
		}
		if owner, _ := ownerOf(snap); owner == w.UID || snap.UID == v.SnapshotUID { // somebody may have taken its marks away
			observed[v.ClaimName] = cut.ObserveRecorded(v, snap, content)
		}
	}
	return observed, nil
}

// finalizerAsSource is the first thing that the snapshot controller adds to a
// snapshot, before it has it cut. A snapshot that is deleted before that goes at
// once, and its content, under way already, is left behind for ever. It is
// there from the beginning therefore, which also spares the freeze a write.
const finalizerAsSource = "snapshot.storage.kubernetes.io/volumesnapshot-as-source-protection"

// newSnapshot has no owner reference: deleting a policy or collecting garbage
// must never delete a backup by cascade. Nor has it the claim's own labels:
// GitOps tools prune what carries them.
func newSnapshot(b *v1alpha1.VolumeBackup, v v1alpha1.VolumeStatus) *snapshotv1.VolumeSnapshot {
	marks := labelsOf(b)
	marks[v1alpha1.LabelClaim] = names.LabelValue(v.ClaimName)
	return &snapshotv1.VolumeSnapshot{
		ObjectMeta: metav1.ObjectMeta{
			Name:        v.SnapshotName,
			Namespace:   b.Namespace,
			Labels:      marks,
			Annotations: map[string]string{annotationBackup: b.Name},
			Finalizers:  []string{finalizerAsSource},
		},
		Spec: snapshotv1.VolumeSnapshotSpec{
			VolumeSnapshotClassName: ptr.To(v.VolumeSnapshotClassName),
			Source:                  snapshotv1.VolumeSnapshotSource{PersistentVolumeClaimName: ptr.To(v.ClaimName)},
		},
	}
}

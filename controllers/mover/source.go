package mover

import (
	"context"
	"fmt"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/snapshot/cut"
)

// Source is a snapshot that a mover reads by a clone, which is made by the snapshot's
// name.
type Source struct {
	Namespace, Snapshot, Clone string
	// Owner is the UID of the clone's owner.
	Owner types.UID
	// Is the snapshot that the clone has to be of.
	Is cut.Identity
	// Proven is the UID of the clone that is known to be of it, empty before one is.
	Proven types.UID
}

// Prove says why a clone may not be of its snapshot, empty where nothing speaks
// against it, and sets Proven where the clone is of it for certain. A UID never comes
// back: where the snapshot is the right one now, whatever was made by its name before
// now is of it.
func (m *Movers) Prove(ctx context.Context, s *Source) (doubt string, err error) {
	clone, snap := &corev1.PersistentVolumeClaim{}, &snapshotv1.VolumeSnapshot{}
	// Before the snapshot: what the clone was bound to was made before.
	if err := m.Live.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: s.Clone}, clone); client.IgnoreNotFound(err) != nil {
		return "", err
	}
	isOwn := isOwnedBy(clone, s.Owner) || s.Proven != "" && clone.UID == s.Proven
	isBound := clone.Status.Phase == corev1.ClaimBound && isOwn
	err = m.Live.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: s.Snapshot}, snap)
	switch {
	case apierrors.IsNotFound(err) && isBound && clone.UID == s.Proven:
		return "", nil
	case apierrors.IsNotFound(err):
		return fmt.Sprintf("VolumeSnapshot %s was deleted before its clone %s was seen to be made of it", s.Snapshot, s.Clone), nil
	case err != nil:
		return "", err
	}
	if differs := s.Is.Differs(cut.IdentityOf(snap, nil)); differs != "" {
		return fmt.Sprintf("VolumeSnapshot %s was replaced by another: %s", s.Snapshot, differs), nil
	}
	if isBound {
		s.Proven = clone.UID
	}
	return "", nil
}

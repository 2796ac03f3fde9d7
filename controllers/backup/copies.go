package backup

import (
	"context"
	"sync"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
)

// What is discarded takes its copy in the storage along. A class may say that
// copies outlive their snapshots (deletionPolicy Retain), and what is discarded
// would stay in the storage for ever: its contents are set to Delete first.

var setToDelete = client.RawPatch(types.MergePatchType, []byte(`{"spec":{"deletionPolicy":"Delete"}}`))

// freeCopy sees to it that a snapshot takes its copy along when it is deleted. It
// is not settled where the snapshot can't be deleted yet.
func (w *run) freeCopy(ctx context.Context, snap *snapshotv1.VolumeSnapshot) (settled bool, err error) {
	_, content, err := live.Reader{Reader: w.Live}.Snapshot(ctx, snap.Namespace, snap.Name)
	if err != nil {
		return false, err
	}
	if content == nil {
		return w.isSettledWithout(ctx, snap)
	}
	if !isOf(content, snap) || content.Spec.DeletionPolicy != snapshotv1.VolumeSnapshotContentRetain {
		return true, nil
	}
	return w.setToDelete(ctx, "VolumeSnapshotContent", content)
}

// isOf is true for a content that is of the snapshot by its own word: which
// content a snapshot names stands in its status alone, which can be forged. That
// of a group's snapshot names no UID at first.
func isOf(content *snapshotv1.VolumeSnapshotContent, snap *snapshotv1.VolumeSnapshot) bool {
	ref := content.Spec.VolumeSnapshotRef
	return ref.Namespace == snap.Namespace && ref.Name == snap.Name && (ref.UID == snap.UID || ref.UID == "")
}

// isSettledWithout is true for a snapshot without a content that won't get one
// that outlives it. The snapshot controller may be about to make it.
func (w *run) isSettledWithout(ctx context.Context, snap *snapshotv1.VolumeSnapshot) (bool, error) {
	if w.Now().Sub(snap.CreationTimestamp.Time) >= cut.SettleLimit {
		return true, nil
	}
	name := ptr.Deref(snap.Spec.VolumeSnapshotClassName, "")
	if name == "" {
		return true, nil // not of our making
	}
	var class snapshotv1.VolumeSnapshotClass
	err := w.Live.Get(ctx, client.ObjectKey{Name: name}, &class)
	if apierrors.IsNotFound(err) {
		return true, nil // without it there is no content
	}
	return class.DeletionPolicy != snapshotv1.VolumeSnapshotContentRetain, err
}

// freeGroup does so for a group and its members.
func (w *run) freeGroup(ctx context.Context, group *cut.Group, content *cut.GroupContent, members []member) (settled bool, err error) {
	settled = true
	for i := range members {
		isSettled, err := w.freeCopy(ctx, members[i].VolumeSnapshot)
		if err != nil {
			return false, err
		}
		settled = settled && isSettled
	}
	if content == nil || content.Spec.VolumeGroupSnapshotRef.UID != group.UID || content.Spec.DeletionPolicy != string(snapshotv1.VolumeSnapshotContentRetain) {
		return settled, nil
	}
	obj := w.groups.object(kindGroupContent)
	obj.SetName(content.Name)
	isSettled, err := w.setToDelete(ctx, kindGroupContent, obj)
	return settled && isSettled, err
}

// setToDelete changes a content. It isn't settled at once: the snapshot
// controller decides by its cache, which may still be of a moment ago. Where
// nobody lets it be changed the copy stays, and that is told.
func (w *run) setToDelete(ctx context.Context, kind string, content client.Object) (settled bool, err error) {
	err = w.Patch(ctx, content, setToDelete)
	if reconcile.LacksRight(err) && !w.lacking.isLasting(content.GetName(), w.Now()) {
		return false, nil
	}
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
		w.Record(eventCopyStays(kind, content.GetName(), err))
		return true, nil
	}
	return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
}

// lackingLimit is how long a right is lacking until that counts.
const lackingLimit = 30 * time.Second

// lacking is since when a right is lacking to change contents, by their names. A
// manager that comes later counts anew.
type lacking struct {
	mu    sync.Mutex
	since map[string]time.Time
}

func (l *lacking) isLasting(content string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	since, is := l.since[content]
	switch {
	case !is:
		if l.since == nil {
			l.since = map[string]time.Time{}
		}
		l.since[content] = now
		return false
	case now.Sub(since) < lackingLimit:
		return false
	}
	delete(l.since, content)
	return true
}

// copiesStay is true for what a deleted backup leaves to its class: that it has
// copies outlive their snapshots is mostly for the case that a namespace goes.
// What proved nothing isn't worth it.
func (w *run) copiesStay(ctx context.Context, made client.Object) (bool, error) {
	if w.DeletionTimestamp.IsZero() || !isKept(w, made) {
		return false, nil
	}
	var namespace corev1.Namespace
	err := w.Live.Get(ctx, client.ObjectKey{Name: w.Namespace}, &namespace)
	return err == nil && !namespace.DeletionTimestamp.IsZero(), err
}

// isKept is true for what the status of the backup names.
func isKept(w *run, made client.Object) bool {
	if _, isGroup := made.(*unstructured.Unstructured); isGroup {
		return made.GetName() == cut.KeptGroup(w.VolumeBackup)
	}
	return cut.Names(w.VolumeBackup, made.GetName())
}

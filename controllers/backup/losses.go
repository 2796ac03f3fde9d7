package backup

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/cut"
)

// losses are the backups that may have lost a snapshot after they were complete:
// whoever may delete VolumeSnapshots can do that. A deletion is seen by the watch, and
// what was deleted while nobody watched is what a list lacks.
type losses struct {
	mu       sync.Mutex
	suspects map[types.NamespacedName]bool
	// seen are, while a list comes, those of the snapshots in it that a backup names: a
	// bit for each of its first 64 volumes. nil at any other time.
	seen map[types.UID]uint64
}

func (l *losses) suspect(backup types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(backup)
}

func (l *losses) add(backup types.NamespacedName) {
	if l.suspects == nil {
		l.suspects = map[types.NamespacedName]bool{}
	}
	l.suspects[backup] = true
}

func (l *losses) isSuspect(backup types.NamespacedName) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.suspects[backup]
}

func (l *losses) clear(backup types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.suspects, backup)
}

// lists is told that a list begins, once or more.
func (l *losses) lists() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[types.UID]uint64{}
	}
}

// note is told of a snapshot that is there.
func (l *losses) note(b *v1alpha1.VolumeBackup, snap *snapshotv1.VolumeSnapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil || !snap.DeletionTimestamp.IsZero() {
		return
	}
	if i := slices.IndexFunc(b.Status.Volumes, func(v v1alpha1.VolumeStatus) bool { return v.SnapshotName == snap.Name }); i >= 0 {
		l.seen[b.UID] |= 1 << i
	}
}

// listed is told that a list is through, and has those of the backups that it lacks a
// snapshot of.
func (l *losses) listed(all []*v1alpha1.VolumeBackup) (lacking []types.NamespacedName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range all {
		if canLose(b) && l.seen[b.UID]&namedBy(b) != namedBy(b) {
			l.add(client.ObjectKeyFromObject(b))
			lacking = append(lacking, client.ObjectKeyFromObject(b))
		}
	}
	l.seen = nil
	return lacking
}

// inCache are the backups that a cache has, not copied: a list of it would copy all of
// them, which may be very many. An informer tells a new handler of each, and of some
// that come after, even once the handler is removed: so what is returned is read under
// the lock.
func inCache(ctx context.Context, informer cache.Informer) ([]*v1alpha1.VolumeBackup, error) {
	var mu sync.Mutex
	var all []*v1alpha1.VolumeBackup
	told, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{AddFunc: func(obj any) {
		if b, is := obj.(*v1alpha1.VolumeBackup); is {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, b)
		}
	}})
	if err != nil {
		return nil, err
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), told.HasSynced) {
		return nil, context.Cause(ctx)
	}
	if err := informer.RemoveEventHandler(told); err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	return all, nil
}

// namedBy has a bit for each snapshot that a backup names.
func namedBy(b *v1alpha1.VolumeBackup) (bits uint64) {
	for i, v := range b.Status.Volumes {
		if v.SnapshotName != "" {
			bits |= 1 << i // none from the 65th on: of those a deletion is only seen as it happens
		}
	}
	return bits
}

// canLose is true for a backup that is complete and has its snapshots, as far as
// anybody knows.
func canLose(b *v1alpha1.VolumeBackup) bool {
	return meta.IsStatusConditionTrue(b.Status.Conditions, v1alpha1.ConditionComplete) &&
		b.DeletionTimestamp.IsZero() && !cut.IsOnlyExported(b) && !b.HasLostSnapshots()
}

// noteLosses tells of the snapshots that a complete backup has lost. It stays
// complete, as it was, and nothing counts on it any more.
func (w *run) noteLosses(ctx context.Context) reconcile.Outcome {
	key := client.ObjectKeyFromObject(w.VolumeBackup)
	if !cut.Ended(w.VolumeBackup) || !w.snapshots.losses.isSuspect(key) {
		return reconcile.Skip()
	}
	if canLose(w.VolumeBackup) {
		lost, err := w.lost(ctx, cut.ClaimNames(w.Status.Volumes))
		if err != nil {
			return reconcile.Retry(err)
		}
		if len(lost) > 0 {
			w.markLost(lost)
			w.OnceSaved(func() { w.snapshots.losses.clear(key) })
			return reconcile.Skip()
		}
	}
	w.snapshots.losses.clear(key)
	return reconcile.Skip()
}

func (w *run) markLost(lost []string) {
	for i := range w.Status.Volumes {
		if v := &w.Status.Volumes[i]; slices.Contains(lost, v.ClaimName) {
			v.ReadyToUse = false
		}
	}
	message := fmt.Sprintf("the snapshot(s) of %s were deleted after the backup was complete: it can't be restored from the cluster as a whole", strings.Join(lost, ", "))
	if exportedCount(w.VolumeBackup) == len(w.Status.Volumes) {
		message += fmt.Sprintf("; from ResticRepository %s it can, by spec.source.repository", w.Spec.Export.RepositoryRef.Name)
	}
	w.Set(v1alpha1.ConditionSnapshotsReady, false, v1alpha1.ReasonSnapshotLost, "%s", message)
	w.RecordOnceSaved(eventSnapshotLost(message))
}

package backup

import (
	"context"
	"slices"
	"sync"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/watchlist"
	"github.com/lull-dev/lull/snapshot/cut"
)

// snapshots are a keeper of the snapshots that backups are still to do something
// about: all of a backup that goes on, and of one that has ended its orphans and
// those that are being deleted.
type snapshots struct {
	// backups reads them by the cache, which has them all.
	backups client.Reader
	// allBackups are those of the cache, not copied.
	allBackups func() ([]*v1alpha1.VolumeBackup, error)
	waiters    *waiters
	losses     losses
	unseen     unseen

	mu    sync.Mutex
	queue queue
	// by the backup that they name.
	by map[types.NamespacedName][]*snapshotv1.VolumeSnapshot
}

func (s *snapshots) wakes(q queue) { s.queue = q }

func (s *snapshots) keep(ctx context.Context, obj client.Object) {
	snap, ok := obj.(*snapshotv1.VolumeSnapshot)
	if !ok {
		return
	}
	s.forgetMoved(ctx, snap)
	for _, backup := range backupOf(ctx, snap) {
		if !snap.DeletionTimestamp.IsZero() {
			s.suspect(ctx, backup.NamespacedName)
		}
		if s.keepFor(ctx, backup.NamespacedName, snap) {
			s.tell(backup, snap)
		}
	}
}

// forgetMoved forgets a snapshot that is kept for a backup that its marks don't name any
// more. Of a backup that has ended none is kept: it is looked for by what is left of them.
func (s *snapshots) forgetMoved(ctx context.Context, snap *snapshotv1.VolumeSnapshot) {
	uid, name := ownerOf(snap)
	var b v1alpha1.VolumeBackup
	named := types.NamespacedName{Namespace: snap.Namespace, Name: name}
	if name != "" && s.backups.Get(ctx, named, &b, client.UnsafeDisableDeepCopy) == nil && uid != "" {
		return
	}
	for _, obj := range s.kept() {
		if obj.GetUID() == snap.UID && !slices.Equal(backupOf(ctx, obj), backupOf(ctx, snap)) {
			s.forgetKept(ctx, obj)
		}
	}
	if b.Name != "" && cut.Ended(&b) {
		s.losses.suspect(named)
		s.unseen.add(named, snap)
		s.queue.Add(ctrl.Request{NamespacedName: named})
	}
}

func (s *snapshots) lists() { s.losses.lists() }

// listed has the backups looked at that what was listed lacks a snapshot of.
func (s *snapshots) listed() error {
	all, err := s.allBackups()
	if err != nil {
		return err
	}
	for _, backup := range s.losses.listed(all) {
		s.queue.Add(ctrl.Request{NamespacedName: backup})
	}
	return nil
}

func (s *snapshots) wants(ctx context.Context, obj client.Object) bool {
	snap, ok := obj.(*snapshotv1.VolumeSnapshot)
	return ok && slices.ContainsFunc(backupOf(ctx, snap), func(backup ctrl.Request) bool {
		return s.isOf(ctx, backup.NamespacedName, snap)
	})
}

// isOf is true for a snapshot that its backup is still to do something about.
func (s *snapshots) isOf(ctx context.Context, backup types.NamespacedName, snap *snapshotv1.VolumeSnapshot) bool {
	var b v1alpha1.VolumeBackup
	err := s.backups.Get(ctx, backup, &b, client.UnsafeDisableDeepCopy)
	isOthers := client.IgnoreNotFound(err) != nil // that of a namespace that isn't this manager's, among others
	if err == nil {
		s.losses.note(&b, snap)
	}
	return !isOthers && (err != nil || !isSettled(&b, snap))
}

func (s *snapshots) keepFor(ctx context.Context, backup types.NamespacedName, snap *snapshotv1.VolumeSnapshot) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(backup, func(other *snapshotv1.VolumeSnapshot) bool { return other.Name == snap.Name })
	if !s.isOf(ctx, backup, snap) {
		return false
	}
	s.by[backup] = append(s.by[backup], snap)
	return true
}

// isSettled is true for a snapshot that nothing has to be done about any more.
func isSettled(b *v1alpha1.VolumeBackup, snap *snapshotv1.VolumeSnapshot) bool {
	owner, _ := ownerOf(snap)
	return owner == b.UID && cut.Ended(b) && cut.StandingOf(b, snap, "") != cut.StandingOrphan && snap.DeletionTimestamp.IsZero()
}

func (s *snapshots) forget(obj client.Object) { s.forgetKept(context.Background(), obj) }

func (s *snapshots) forgetKept(ctx context.Context, obj client.Object) {
	for _, backup := range backupOf(ctx, obj) {
		s.mu.Lock()
		before := len(s.by[backup.NamespacedName])
		s.drop(backup.NamespacedName, func(other *snapshotv1.VolumeSnapshot) bool { return other.UID == obj.GetUID() })
		wasKept := len(s.by[backup.NamespacedName]) < before
		s.mu.Unlock()
		isThere, hasEnded := s.suspect(ctx, backup.NamespacedName)
		if isThere {
			s.unseen.add(backup.NamespacedName, obj)
		}
		if wasKept || hasEnded {
			s.tell(backup, obj)
		}
	}
}

// suspect has a backup looked at, if it is there: now where it has ended, and else
// once it has.
func (s *snapshots) suspect(ctx context.Context, backup types.NamespacedName) (isThere, hasEnded bool) {
	var b v1alpha1.VolumeBackup
	if err := s.backups.Get(ctx, backup, &b, client.UnsafeDisableDeepCopy); err != nil || !b.DeletionTimestamp.IsZero() {
		return false, false
	}
	s.losses.suspect(backup)
	return true, cut.Ended(&b)
}

// tell wakes the backup of a snapshot that has changed.
func (s *snapshots) tell(backup ctrl.Request, snap client.Object) {
	s.waiters.wake(keyOf(snap))
	s.queue.Add(backup)
}

// drop is to be called with the lock held.
func (s *snapshots) drop(backup types.NamespacedName, is func(*snapshotv1.VolumeSnapshot) bool) {
	if s.by[backup] = slices.DeleteFunc(s.by[backup], is); len(s.by[backup]) == 0 {
		delete(s.by, backup)
	}
}

// settle drops what a backup needs no more. One that is gone has no name.
func (s *snapshots) settle(backup types.NamespacedName, b *v1alpha1.VolumeBackup) {
	if b.Name == "" {
		s.losses.clear(backup)
		s.unseen.take(backup)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(backup, func(snap *snapshotv1.VolumeSnapshot) bool { return b.Name == "" || isSettled(b, snap) })
}

// of are those of a backup that are kept. They are not to be changed.
func (s *snapshots) of(b *v1alpha1.VolumeBackup) []*snapshotv1.VolumeSnapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	var own []*snapshotv1.VolumeSnapshot
	for _, snap := range s.by[client.ObjectKeyFromObject(b)] {
		if owner, _ := ownerOf(snap); owner == b.UID {
			own = append(own, snap)
		}
	}
	return own
}

func (s *snapshots) kept() []client.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []client.Object
	for _, of := range s.by {
		for _, snap := range of {
			all = append(all, snap)
		}
	}
	return all
}

// contents are a keeper of the VolumeSnapshotContents that attempts wait for. A
// content tells of the cut one hop earlier than its snapshot; once it has, nobody
// asks for it. So what is cut takes no memory, however much it is and whoever cut
// it.
type contents struct{ *waiters }

func (c contents) wakes(queue) {}

func (c contents) lists() {}

func (c contents) listed() error { return nil }

func (c contents) wants(_ context.Context, obj client.Object) bool { return c.isAwaited(keyOf(obj)) }

func (c contents) keep(_ context.Context, obj client.Object) {
	if content, ok := obj.(*snapshotv1.VolumeSnapshotContent); ok {
		c.keepContent(content)
	}
}

func (c contents) forget(obj client.Object) {
	if content, ok := obj.(*snapshotv1.VolumeSnapshotContent); ok {
		c.forgetContent(content)
	}
}

func (c contents) kept() []client.Object {
	var all []client.Object
	for _, content := range c.allContents() {
		all = append(all, content)
	}
	return all
}

// watchSnapshots are the sources of snapshots of ours, and of all contents.
func (r *Reconciler) watchSnapshots(mgr ctrl.Manager) (ofSnapshots, ofContents *storeless, err error) {
	from, err := newClient(mgr)
	if err != nil {
		return nil, nil, err
	}
	only := client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	inSnapshots, err := watchlist.NewResource(mgr.GetConfig(), snapshotv1.SchemeGroupVersion.WithResource("volumesnapshots"),
		&snapshotv1.VolumeSnapshot{}, watchlist.Which{LabelSelector: labels.SelectorFromSet(labels.Set(only)).String()})
	if err != nil {
		return nil, nil, err
	}
	inContents, err := watchlist.NewResource(mgr.GetConfig(), snapshotv1.SchemeGroupVersion.WithResource("volumesnapshotcontents"),
		&snapshotv1.VolumeSnapshotContent{}, watchlist.Which{})
	if err != nil {
		return nil, nil, err
	}
	r.snapshots = &snapshots{
		backups: r.Client, waiters: r.waiters, by: map[types.NamespacedName][]*snapshotv1.VolumeSnapshot{},
	}
	return &storeless{
			keeper: r.snapshots, from: from, resource: inSnapshots,
			empty: &snapshotv1.VolumeSnapshot{}, list: func() client.ObjectList { return &snapshotv1.VolumeSnapshotList{} },
			only: only,
			// Which of them are kept is decided by the backups.
			first: func(ctx context.Context) error {
				informer, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.VolumeBackup{})
				if err != nil {
					return err
				}
				r.snapshots.allBackups = func() ([]*v1alpha1.VolumeBackup, error) { return inCache(ctx, informer) }
				return nil
			},
		}, &storeless{
			keeper: contents{r.waiters}, from: from, resource: inContents, onlyChanges: true, // nobody waits yet
			empty: &snapshotv1.VolumeSnapshotContent{}, list: func() client.ObjectList { return &snapshotv1.VolumeSnapshotContentList{} },
		}, nil
}

// watched reads the snapshots of one backup, and contents, by the watches: contents
// only while they are waited for.
type watched struct {
	client.Reader
	snapshots *snapshots
	waiters   *waiters
	backup    *v1alpha1.VolumeBackup
}

func (w *run) watched() watched {
	return watched{Reader: w.Cache, snapshots: w.snapshots, waiters: w.waiters, backup: w.VolumeBackup}
}

// Get implements client.Reader.
func (r watched) Get(ctx context.Context, key client.ObjectKey, obj client.Object, options ...client.GetOption) error {
	switch o := obj.(type) {
	case *snapshotv1.VolumeSnapshot:
		for _, snap := range r.snapshots.of(r.backup) {
			if snap.Name == key.Name {
				snap.DeepCopyInto(o)
				return nil
			}
		}
		return apierrors.NewNotFound(snapshotv1.Resource("volumesnapshots"), key.Name)
	case *snapshotv1.VolumeSnapshotContent:
		if kept := r.waiters.content(key.Name); kept != nil {
			kept.DeepCopyInto(o)
			return nil
		}
		return apierrors.NewNotFound(snapshotv1.Resource("volumesnapshotcontents"), key.Name)
	}
	return r.Reader.Get(ctx, key, obj, options...)
}

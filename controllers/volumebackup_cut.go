package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"golang.org/x/sync/errgroup"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// annotationBackup names a snapshot's backup in full: a label may be too short.
const annotationBackup = "lull.dev/backup-name"

var errHoldLost = errors.New("the application did not hold still until its volumes were cut")

// cut creates all snapshots at once and waits until all are cut. It gives up
// at the end of ctx, when the quiet is lost, and when the driver complains:
// the application isn't kept frozen for a driver that has to try again.
func (r *VolumeBackupReconciler) cut(ctx context.Context, s *backupScope, p *plan, watch *cutWatch, lost <-chan struct{}, t *trial) error {
	if err := r.create(ctx, s, p); err != nil {
		return err
	}
	doubt := time.NewTicker(doubtAfter)
	defer doubt.Stop()
	from, doubted := client.Reader(r.Cache), false
	for {
		before := t.observed
		observed, err := r.observeCut(ctx, from, s, p)
		if err == nil {
			t.observed = observed
		} else if !doubted {
			return err
		}
		if gone := snapshot.Gone(before, t.observed); len(gone) > 0 {
			return fmt.Errorf("the snapshots of %s were deleted while they were cut", strings.Join(gone, ", "))
		}
		progress := snapshot.Compare(claimNames(s.VolumeBackup), t.observed)
		if progress.AllCut() {
			t.cutAt = r.Clock.Now()
			return nil
		}
		if said := progress.Error(); said != "" {
			return fmt.Errorf("the storage driver could not cut: %.1024s", said)
		}
		select {
		case <-watch.changed:
		case <-doubt.C:
			from, doubted = r.Live, true // from then on: the cache may be further back
		case <-lost:
			return errHoldLost
		case <-ctx.Done():
			return fmt.Errorf("the volumes of %s were not cut: %w%s", strings.Join(progress.Uncut, ", "), context.Cause(ctx), r.notTakenUp(context.WithoutCancel(ctx), s))
		}
	}
}

// doubtAfter is how long the watch is relied on. After an outage of the API
// server a watch is taken up again after half a minute or more (client-go), and
// the application would be frozen for as long.
const doubtAfter = 2 * time.Second

func claimNames(b *v1alpha1.VolumeBackup) []string {
	names := make([]string, 0, len(b.Status.Volumes))
	for _, v := range b.Status.Volumes {
		names = append(names, v.ClaimName)
	}
	return names
}

// create creates all that makes the driver cut.
func (r *VolumeBackupReconciler) create(ctx context.Context, s *backupScope, p *plan) error {
	if s.grouped() {
		return r.createGroup(ctx, s, p.groupClass)
	}
	return r.createSnapshots(ctx, s)
}

func (r *VolumeBackupReconciler) observeCut(ctx context.Context, from client.Reader, s *backupScope, p *plan) (map[string]snapshot.Observed, error) {
	if s.grouped() {
		return r.observeGroup(ctx, from, s, p)
	}
	return r.observe(ctx, from, s)
}

func (r *VolumeBackupReconciler) createSnapshots(ctx context.Context, s *backupScope) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, v := range s.Status.Volumes {
		all.Go(func() error { return r.createSnapshot(ctx, s, v) })
	}
	return all.Wait()
}

// createSnapshot makes one, or finds it made: its name is of this attempt of
// this object alone.
func (r *VolumeBackupReconciler) createSnapshot(ctx context.Context, s *backupScope, v v1alpha1.VolumeStatus) error {
	snap := newSnapshot(s.VolumeBackup, v)
	if err := r.foundMade(ctx, s, snap, &snapshotv1.VolumeSnapshot{}, r.Create(ctx, snap)); err != nil {
		return fmt.Errorf("VolumeSnapshot %s could not be created: %w", snap.Name, err)
	}
	return nil
}

// foundMade is nil where an object could not be created because the backup has
// it already. It is read into there.
func (r *VolumeBackupReconciler) foundMade(ctx context.Context, s *backupScope, obj, there client.Object, created error) error {
	if !apierrors.IsAlreadyExists(created) {
		return created
	}
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(obj), there); err != nil {
		return err
	}
	if there.GetLabels()[v1alpha1.LabelBackupUID] == string(s.UID) {
		return nil
	}
	return created
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
	marks[v1alpha1.LabelClaim] = snapshot.LabelValue(v.ClaimName)
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

// labelsOf are on all that is made for a backup.
func labelsOf(b *v1alpha1.VolumeBackup) map[string]string {
	return map[string]string{
		v1alpha1.LabelBackup:      snapshot.LabelValue(b.Name),
		v1alpha1.LabelBackupUID:   string(b.UID),
		v1alpha1.LabelApplication: snapshot.LabelValue(b.Spec.ApplicationRef.Name),
		v1alpha1.LabelManagedBy:   v1alpha1.ManagedBy,
	}
}

// observe reads the backup's snapshots, by their claims.
func (r *VolumeBackupReconciler) observe(ctx context.Context, from client.Reader, s *backupScope) (map[string]snapshot.Observed, error) {
	observed := make(map[string]snapshot.Observed, len(s.Status.Volumes))
	for _, v := range s.Status.Volumes {
		if v.SnapshotName == "" {
			continue // one of a group that isn't made yet
		}
		var snap snapshotv1.VolumeSnapshot
		err := from.Get(ctx, client.ObjectKey{Namespace: s.Namespace, Name: v.SnapshotName}, &snap)
		if apierrors.IsNotFound(err) {
			continue
		} else if err != nil {
			return nil, err
		}
		if snap.Labels[v1alpha1.LabelBackupUID] != string(s.UID) {
			continue
		}
		content := &snapshotv1.VolumeSnapshotContent{}
		err = from.Get(ctx, client.ObjectKey{Name: snapshot.ContentName(&snap)}, content)
		if apierrors.IsNotFound(err) {
			content = nil
		} else if err != nil {
			return nil, err
		}
		observed[v.ClaimName] = snapshot.Observe(&snap, content)
	}
	return observed, nil
}

// cutWatch tells when a snapshot of a backup, or its content, has changed. The
// content is watched too: it knows of the cut one hop earlier.
type cutWatch struct {
	changed chan struct{}
	stops   []func()
}

func (r *VolumeBackupReconciler) watchCuts(ctx context.Context, s *backupScope) (*cutWatch, error) {
	names := map[string]bool{}
	for _, v := range s.Status.Volumes {
		names[v.SnapshotName] = true
	}
	kinds := []client.Object{&snapshotv1.VolumeSnapshot{}, &snapshotv1.VolumeSnapshotContent{}}
	if s.grouped() {
		names = map[string]bool{s.Status.Quiesce.GroupSnapshotName: true}
		kinds = []client.Object{r.groupObject(kindGroup), r.groupObject(kindGroupContent)}
	}
	namespace := s.Namespace // the object is written while events come
	ours := func(obj any) bool {
		in, name := snapshotIn(obj)
		return in == namespace && names[name]
	}
	w := &cutWatch{changed: make(chan struct{}, 1)}
	for _, kind := range kinds {
		stop, err := follow(ctx, r.Cache, kind, ours, w.ping)
		if err != nil {
			w.stop()
			return nil, err
		}
		w.stops = append(w.stops, stop)
	}
	return w, nil
}

// snapshotIn is the namespace and the name of the snapshot, or the group, that
// an object is or is the content of.
func snapshotIn(obj any) (namespace, name string) {
	switch o := obj.(type) {
	case *snapshotv1.VolumeSnapshot:
		return o.Namespace, o.Name
	case *snapshotv1.VolumeSnapshotContent:
		return o.Spec.VolumeSnapshotRef.Namespace, o.Spec.VolumeSnapshotRef.Name
	case *unstructured.Unstructured:
		if o.GetKind() == kindGroup {
			return o.GetNamespace(), o.GetName()
		}
		namespace, _, _ = unstructured.NestedString(o.Object, "spec", "volumeGroupSnapshotRef", "namespace")
		name, _, _ = unstructured.NestedString(o.Object, "spec", "volumeGroupSnapshotRef", "name")
	}
	return namespace, name
}

// follow calls do whenever an object of a kind that is one of ours is added,
// changed or deleted, and once for each that is there.
func follow(ctx context.Context, c ctrlcache.Cache, kind client.Object, ours func(any) bool, do func()) (stop func(), err error) {
	informer, err := c.GetInformer(ctx, kind)
	if err != nil {
		return nil, err
	}
	handle, err := informer.AddEventHandler(cache.FilteringResourceEventHandler{
		FilterFunc: ours,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { do() },
			UpdateFunc: func(any, any) { do() },
			DeleteFunc: func(any) { do() },
		},
	})
	return func() { _ = informer.RemoveEventHandler(handle) }, err
}

// whenDeleted calls do once the deletion of the backup is asked for.
func (r *VolumeBackupReconciler) whenDeleted(ctx context.Context, s *backupScope, do func()) (stop func(), err error) {
	uid := s.UID
	return follow(ctx, r.Cache, &v1alpha1.VolumeBackup{}, func(obj any) bool {
		b, ok := obj.(*v1alpha1.VolumeBackup)
		return ok && b.UID == uid && !b.DeletionTimestamp.IsZero()
	}, do)
}

// ping never blocks: one look sees all that has changed.
func (w *cutWatch) ping() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *cutWatch) stop() {
	for _, stop := range w.stops {
		stop()
	}
}

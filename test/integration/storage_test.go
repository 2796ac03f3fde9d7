package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// finalizerBound is what the snapshot controller puts on a bound snapshot.
const finalizerBound = "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection"

// fate is what becomes of a snapshot. The zero value cuts it and makes it
// ready at once.
type fate struct {
	// complaint of the driver, before anything else.
	complaint string
	// never: it is bound, and that is all.
	never bool
	// cut and ready happen when these are closed; nil is at once.
	cut, ready <-chan struct{}
}

// storage does to snapshots what the snapshot controller and a driver's
// sidecar do: it binds a content, cuts, reports, and takes away.
type storage struct {
	fc  *fakeCluster
	all sync.WaitGroup

	mu      sync.Mutex
	decides func(claim string, n int) fate
	counts  map[string]int
	names   []string
	cuts    map[string][]string
	held    chan struct{}
	policy  snapshotv1.DeletionPolicy
}

// startStorage begins to serve the namespace of the fake cluster.
func startStorage(fc *fakeCluster) *storage {
	s := &storage{fc: fc, counts: map[string]int{}, cuts: map[string][]string{}, policy: snapshotv1.VolumeSnapshotContentDelete}
	s.all.Go(func() {
		for fc.ctx.Err() == nil {
			s.serveAll(fc.ctx)
		}
	})
	return s
}

// decide sets what becomes of the n-th snapshot of a claim, from 1.
func (s *storage) decide(by func(claim string, n int) fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decides = by
}

// holdFirstCuts keeps the first snapshot of each claim from being cut until the
// channel is closed.
func (s *storage) holdFirstCuts() (cut chan struct{}) {
	cut = make(chan struct{})
	s.decide(func(_ string, n int) fate {
		if n == 1 {
			return fate{cut: cut}
		}
		return fate{}
	})
	return cut
}

// holdBack keeps snapshots that are deleted until goOn.
func (s *storage) holdBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = make(chan struct{})
}

func (s *storage) goOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.held)
}

// made are all snapshots that there ever were.
func (s *storage) made() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names)
}

// frozenAtCut are the marks that stood when a snapshot was cut.
func (s *storage) frozenAtCut(snapshot string) (marks []string, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	marks, cut = s.cuts[snapshot]
	return marks, cut
}

func (s *storage) serveAll(ctx context.Context) {
	watcher, err := admin.Watch(ctx, &snapshotv1.VolumeSnapshotList{}, client.InNamespace(s.fc.namespace))
	if err != nil {
		return
	}
	defer watcher.Stop()
	for e := range watcher.ResultChan() {
		snap, ok := e.Object.(*snapshotv1.VolumeSnapshot)
		if !ok {
			continue
		}
		switch {
		case e.Type == watch.Deleted || !snap.DeletionTimestamp.IsZero():
			s.all.Go(func() { s.takeAway(ctx, snap) })
		case e.Type == watch.Added:
			if f, isNew := s.note(snap); isNew {
				s.all.Go(func() { s.serve(ctx, snap, f) })
			}
		}
	}
}

func (s *storage) note(snap *snapshotv1.VolumeSnapshot) (f fate, isNew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.names, snap.Name) {
		return f, false
	}
	claim := *snap.Spec.Source.PersistentVolumeClaimName
	s.names = append(s.names, snap.Name)
	s.counts[claim]++
	if s.decides != nil {
		f = s.decides(claim, s.counts[claim])
	}
	return f, true
}

// serve gives up silently: a snapshot that is deleted under way isn't served.
func (s *storage) serve(ctx context.Context, snap *snapshotv1.VolumeSnapshot, f fate) {
	content, err := s.bind(ctx, snap)
	if err != nil {
		return
	}
	if f.complaint != "" {
		said := map[string]any{"error": map[string]any{"message": f.complaint, "time": time.Now().UTC().Format(time.RFC3339)}}
		if s.report(ctx, content, said) != nil || s.report(ctx, snap, said) != nil {
			return
		}
	}
	if f.never || !reached(ctx, f.cut) || s.cut(ctx, snap, content) != nil || !reached(ctx, f.ready) {
		return
	}
	done := map[string]any{"readyToUse": true, "error": nil}
	if s.report(ctx, content, done) == nil {
		_ = s.report(ctx, snap, done)
	}
}

func reached(ctx context.Context, gate <-chan struct{}) bool {
	if gate == nil {
		return true
	}
	select {
	case <-gate:
		return true
	case <-ctx.Done():
		return false
	}
}

// bind points snapshot and content at each other. It isn't a cut.
func (s *storage) bind(ctx context.Context, snap *snapshotv1.VolumeSnapshot) (*snapshotv1.VolumeSnapshotContent, error) {
	content := &snapshotv1.VolumeSnapshotContent{
		ObjectMeta: metav1.ObjectMeta{Name: "snapcontent-" + string(snap.UID)},
		Spec: snapshotv1.VolumeSnapshotContentSpec{
			DeletionPolicy:    s.contentPolicy(),
			Driver:            s.fc.driver,
			Source:            snapshotv1.VolumeSnapshotContentSource{VolumeHandle: snap.Spec.Source.PersistentVolumeClaimName},
			VolumeSnapshotRef: corev1.ObjectReference{Namespace: snap.Namespace, Name: snap.Name, UID: snap.UID, Kind: "VolumeSnapshot", APIVersion: snapshotv1.SchemeGroupVersion.String()},
		},
	}
	if err := admin.Create(ctx, content); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	finalizer := fmt.Sprintf(`{"metadata":{"uid":%q,"finalizers":[%q]}}`, snap.UID, finalizerBound)
	if err := admin.Patch(ctx, snap.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(finalizer))); err != nil {
		return nil, err
	}
	return content, s.report(ctx, snap, map[string]any{"boundVolumeSnapshotContentName": content.Name, "readyToUse": false})
}

func (s *storage) contentPolicy() snapshotv1.DeletionPolicy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.policy
}

// retains has copies outlive their snapshots, by the class of the fake cluster.
func (s *storage) retains() {
	s.fc.Helper()
	s.mu.Lock()
	s.policy = snapshotv1.VolumeSnapshotContentRetain
	s.mu.Unlock()
	class := &snapshotv1.VolumeSnapshotClass{ObjectMeta: metav1.ObjectMeta{Name: s.fc.namespace + "-class"}}
	s.fc.must(admin.Patch(s.fc.ctx, class, client.RawPatch(types.MergePatchType, []byte(`{"deletionPolicy":"Retain"}`))))
}

// copies are the contents of the fake cluster's snapshots, whether these are
// there or not.
func (s *storage) copies() (contents []snapshotv1.VolumeSnapshotContent) {
	s.fc.Helper()
	var all snapshotv1.VolumeSnapshotContentList
	s.fc.must(admin.List(s.fc.ctx, &all))
	for _, c := range all.Items {
		if c.Spec.VolumeSnapshotRef.Namespace == s.fc.namespace {
			contents = append(contents, c)
		}
	}
	return contents
}

// cut takes the volume as it is at this instant, with the marks that stand.
func (s *storage) cut(ctx context.Context, snap *snapshotv1.VolumeSnapshot, content *snapshotv1.VolumeSnapshotContent) error {
	s.mu.Lock()
	s.cuts[snap.Name] = s.fc.frozen()
	s.mu.Unlock()
	s.fc.journal.add("cut %s", snap.Labels[v1alpha1.LabelClaim])
	now := time.Now()
	if err := s.report(ctx, content, map[string]any{
		"snapshotHandle": "handle-" + snap.Name, "creationTime": now.UnixNano(), "readyToUse": false, "restoreSize": 1 << 30,
	}); err != nil {
		return err
	}
	return s.report(ctx, snap, map[string]any{"creationTime": now.UTC().Format(time.RFC3339), "restoreSize": "1Gi"})
}

func (s *storage) report(ctx context.Context, obj client.Object, status map[string]any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": obj.GetUID()}, "status": status})
	if err != nil {
		return err
	}
	return admin.Status().Patch(ctx, obj.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, patch))
}

// takeAway removes the content first, unless it is to stay, and then what holds
// the snapshot.
func (s *storage) takeAway(ctx context.Context, snap *snapshotv1.VolumeSnapshot) {
	s.mu.Lock()
	held := s.held
	s.mu.Unlock()
	if !reached(ctx, held) {
		return
	}
	content := &snapshotv1.VolumeSnapshotContent{}
	err := admin.Get(ctx, client.ObjectKey{Name: "snapcontent-" + string(snap.UID)}, content)
	if err == nil && content.Spec.DeletionPolicy == snapshotv1.VolumeSnapshotContentDelete {
		err = admin.Delete(ctx, content)
	}
	if client.IgnoreNotFound(err) != nil {
		return
	}
	_ = admin.Patch(ctx, snap.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
}

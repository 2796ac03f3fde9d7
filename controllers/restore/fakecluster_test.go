package restore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/restore"
	"github.com/lull-dev/lull/snapshot/workload"
)

const shop = "shop"

// errDead is what a manager gets that has died: it doesn't reach the cluster
// any more.
var errDead = errors.New("this manager is dead")

// fakeCluster is a fake API server with as much of a cluster behind it as a restore
// needs: volumes are bound, released and deleted, workloads have pods.
type fakeCluster struct {
	t *testing.T
	client.Client
	clock *clocktesting.FakeClock
	// dieAt is the write after which the manager dies, 0 for never. Before the
	// next write is the same: nobody sees a difference.
	dieAt, writes int
	dead          bool
	mu            sync.Mutex
	// broken is true where no pod of a restored volume becomes ready.
	broken bool
	// startup is how long a pod takes to be ready that started then.
	startup time.Duration
	started time.Time
	// refuses is why no claim can be made, nil where it can.
	refuses error
	// denies is why a change can't be made, or deleted (patch is nil), nil where
	// it can. deniesDryRuns is true where dry runs are denied too.
	denies        func(obj client.Object, patch client.Patch) error
	deniesDryRuns bool
	// forgets is why a status can't be written, nil where it can.
	forgets func(*v1alpha1.VolumeRestore) error
	// hangs: a pod that is told to stop writes on; stopping: there is such a pod.
	hangs, stopping bool
	// startsBeside is true where another may be started beside such a pod.
	startsBeside bool
	claimTimeout time.Duration // stands over that of the options, where it isn't 0
	// meanwhile is what others do between two looks of the manager.
	meanwhile func(*v1alpha1.VolumeRestore)
	// beforeWrite happens right before a write of the manager, nil for nothing.
	beforeWrite func(verb string, obj client.Object)
}

func newCluster(t *testing.T, kind v1alpha1.ApplicationKind) *fakeCluster {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, autoscalingv2.AddToScheme, storagev1.AddToScheme, snapshotv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w := &fakeCluster{t: t, clock: clocktesting.NewFakeClock(time.Now().Truncate(time.Second))}
	w.Client = fake.NewClientBuilder().WithScheme(scheme).
		WithTypeConverters(managedfields.NewDeducedTypeConverter()). // a fraction of the time
		WithStatusSubresource(&v1alpha1.VolumeRestore{}, &appsv1.Deployment{}, &appsv1.StatefulSet{}, &corev1.PersistentVolumeClaim{}, &corev1.Pod{}).
		WithIndex(&corev1.Event{}, "involvedObject.name", func(client.Object) []string { return nil }).
		WithIndex(&corev1.Event{}, "type", func(client.Object) []string { return nil }).
		WithObjects(backedUp(kind)...).Build()
	w.tick()
	return w
}

// backedUp is an application of one pod with a volume of old data, and its
// backup.
func backedUp(kind v1alpha1.ApplicationKind) []client.Object {
	claim := "data"
	if kind == v1alpha1.KindStatefulSet {
		claim = "data-db-0"
	}
	named := func(name, uid string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: shop, Name: name, UID: types.UID("uid-" + uid)}
	}
	backup := &v1alpha1.VolumeBackup{ObjectMeta: named("b", "b")}
	backup.Spec.ApplicationRef = v1alpha1.ApplicationReference{Kind: kind, Name: "db"}
	backup.Status.Phase = v1alpha1.PhaseCompleted
	backup.Status.Volumes = []v1alpha1.VolumeStatus{{ClaimName: claim, SnapshotName: "s", Driver: "d"}}
	meta.SetStatusCondition(&backup.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: "x"})
	snap := &snapshotv1.VolumeSnapshot{ObjectMeta: named("s", "s"), Status: &snapshotv1.VolumeSnapshotStatus{ReadyToUse: ptr.To(true), CreationTime: ptr.To(metav1.Now()), RestoreSize: ptr.To(resource.MustParse("1Gi"))}}
	content := &snapshotv1.VolumeSnapshotContent{ObjectMeta: metav1.ObjectMeta{Name: cut.ContentName(snap)}}
	content.Spec.Driver, content.Spec.VolumeSnapshotRef = "d", corev1.ObjectReference{UID: snap.UID}
	pvc := &corev1.PersistentVolumeClaim{ObjectMeta: named(claim, "c")}
	pvc.CreationTimestamp = metav1.NewTime(time.Now().Add(-time.Hour))
	pvc.Labels, pvc.Finalizers = map[string]string{"team": "shop"}, []string{"kubernetes.io/pvc-protection"}
	pvc.Spec = corev1.PersistentVolumeClaimSpec{
		VolumeName: "pv-old", StorageClassName: ptr.To("fast"), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}
	pvc.Status.Phase = corev1.ClaimBound
	pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-old"}}
	pv.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
	pv.Spec.ClaimRef = &corev1.ObjectReference{Namespace: shop, Name: claim, UID: pvc.UID}
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "d"}
	return append([]client.Object{backup, snap, content, pvc, pv, class}, anApplication(kind)...)
}

func anApplication(kind v1alpha1.ApplicationKind) []client.Object {
	set := metav1.ObjectMeta{Namespace: shop, Name: "db", UID: "uid-app", Generation: 1}
	if kind == v1alpha1.KindStatefulSet {
		s := &appsv1.StatefulSet{ObjectMeta: set}
		s.Spec.Replicas = ptr.To[int32](1)
		s.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
		return []client.Object{s}
	}
	d := &appsv1.Deployment{ObjectMeta: set}
	d.Spec.Replicas = ptr.To[int32](1)
	d.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data"},
	}}}
	r := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "db-1", UID: "uid-rs"}}
	r.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "db", UID: "uid-app", Controller: ptr.To(true)}}
	r.Spec.Template = *d.Spec.Template.DeepCopy()
	return []client.Object{d, r}
}

// manager is one that dies as the cluster says.
func (w *fakeCluster) manager() *Reconciler {
	w.dead = false
	write := func(verb string, obj client.Object, do func() error) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.dead {
			return errDead
		}
		if w.beforeWrite != nil {
			w.beforeWrite(verb, obj)
		}
		w.writes++
		w.dead = w.writes == w.dieAt
		if err := do(); err != nil || !w.dead {
			return err
		}
		return errDead
	}
	dying := interceptor.NewClient(w.Client.(client.WithWatch), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			return write("create", obj, func() error {
				if _, ok := obj.(*corev1.PersistentVolumeClaim); ok && w.refuses != nil {
					return w.refuses
				}
				if obj.GetUID() == "" {
					obj.SetUID(types.UID(fmt.Sprintf("uid-%s-%d", obj.GetName(), w.writes)))
				}
				obj.SetCreationTimestamp(metav1.NewTime(w.clock.Now()))
				return c.Create(ctx, obj, opts...)
			})
		},
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, p client.Patch, opts ...client.PatchOption) error {
			return write("patch", obj, func() error {
				if err := w.denied(obj, p, (&client.PatchOptions{}).ApplyOptions(opts).DryRun); err != nil {
					return err
				}
				return c.Patch(ctx, obj, p, opts...)
			})
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
			return write("delete", obj, func() error {
				if err := w.denied(obj, nil, (&client.DeleteOptions{}).ApplyOptions(opts).DryRun); err != nil {
					return err
				}
				return c.Delete(ctx, obj, opts...)
			})
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return write("status of", obj, func() error {
				if v, ok := obj.(*v1alpha1.VolumeRestore); ok && w.forgets != nil {
					if err := w.forgets(v); err != nil {
						return err
					}
				}
				return c.SubResource(sub).Patch(ctx, obj, p, opts...)
			})
		},
	})
	options := DefaultOptions()
	options.Image = "image"
	options.ClaimTimeout = cmp.Or(w.claimTimeout, options.ClaimTimeout)
	movers := &mover.Movers{Writes: dying, Live: w.Client, Image: options.Image}
	return &Reconciler{Client: dying, Live: w.Client, Movers: movers, Events: events.NewFakeRecorder(1000), Clock: w.clock, Options: options}
}

// run lets managers work until the restore is at its end.
func (w *fakeCluster) run() *v1alpha1.VolumeRestore {
	manager := w.manager()
	v := &v1alpha1.VolumeRestore{}
	for range 400 {
		_, err := manager.Reconcile(context.Background(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: shop, Name: "r"}})
		if w.dead {
			manager = w.manager()
		} else if err != nil {
			w.t.Logf("reconcile: %v", err)
		}
		w.tick()
		w.clock.Step(time.Second)
		if err := w.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: "r"}, v); err != nil {
			return nil
		}
		if w.meanwhile != nil {
			w.meanwhile(v)
		}
		if restore.Ended(v) && !restore.IsRollBackAsked(v) && !restore.IsReleaseAsked(v) && v.DeletionTimestamp.IsZero() {
			return v
		}
	}
	w.t.Fatalf("not at its end: %s %s: %s", v.Status.Phase, v.Status.Step, v.Status.Message)
	return nil
}

// tick is what the cluster does meanwhile.
func (w *fakeCluster) tick() {
	w.bind()
	w.runApplication()
	w.runMountChecks()
	w.protect()
	w.reclaim()
}

func (w *fakeCluster) must(err error) {
	w.t.Helper()
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
}

func (w *fakeCluster) claims() []corev1.PersistentVolumeClaim {
	var all corev1.PersistentVolumeClaimList
	w.must(w.List(context.Background(), &all))
	return all.Items
}

func (w *fakeCluster) pods() []corev1.Pod {
	var all corev1.PodList
	w.must(w.List(context.Background(), &all))
	return all.Items
}

// runApplication gives the workload the pods that it asks for. Two of one
// volume would be the end of it.
func (w *fakeCluster) runApplication() {
	ctx := context.Background()
	var d appsv1.Deployment
	if w.Get(ctx, client.ObjectKey{Namespace: shop, Name: "db"}, &d) == nil {
		ready := w.runPods(*d.Spec.Replicas, "uid-rs", d.Spec.Template.Spec.Volumes)
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: *d.Spec.Replicas, UpdatedReplicas: *d.Spec.Replicas, AvailableReplicas: ready}
		w.must(w.Status().Update(ctx, &d))
	}
	var s appsv1.StatefulSet
	if w.Get(ctx, client.ObjectKey{Namespace: shop, Name: "db"}, &s) == nil {
		volumes := []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "data-db-0"}}}}
		ready := w.runPods(*s.Spec.Replicas, "uid-app", volumes)
		s.Status = appsv1.StatefulSetStatus{ObservedGeneration: s.Generation, Replicas: *s.Spec.Replicas, AvailableReplicas: ready}
		w.must(w.Status().Update(ctx, &s))
	}
}

func (w *fakeCluster) runPods(wanted int32, owner types.UID, volumes []corev1.Volume) (ready int32) {
	ctx := context.Background()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "db-0"}}
	there := w.Get(ctx, client.ObjectKeyFromObject(pod), pod) == nil
	if w.stopping = there && (wanted == 0 || w.stopping); w.stopping && wanted > 0 {
		if !w.startsBeside {
			w.t.Errorf("it is told to start while a pod that was told to stop still writes")
		}
		return wanted
	}
	switch {
	case w.stopping && !w.hangs:
		w.must(w.Delete(ctx, pod))
		w.stopping = false
	case w.stopping:
	case wanted > 0 && !there:
		pod.UID = types.UID(fmt.Sprintf("uid-pod-%d", w.clock.Now().Unix()))
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "X", Name: "x", UID: owner, Controller: ptr.To(true)}}
		pod.Spec.NodeName, pod.Spec.Volumes = "node", volumes
		w.must(w.Create(ctx, pod))
		w.started = w.clock.Now()
	}
	if wanted == 0 || w.clock.Since(w.started) < w.startup || w.broken && w.mounted() != "pv-old" {
		return 0
	}
	return wanted
}

// mounted is the volume that the application runs on, empty where it doesn't.
func (w *fakeCluster) mounted() string {
	for _, p := range w.pods() {
		for _, c := range w.claims() {
			if p.Name == "db-0" && workload.Mounts(&p, c.Name) {
				return c.Spec.VolumeName
			}
		}
	}
	return ""
}

func (w *fakeCluster) runMountChecks() {
	for _, p := range w.pods() {
		if p.Labels[v1alpha1.LabelRestoreUID] != "" && p.Status.Phase != corev1.PodSucceeded {
			p.Status.Phase = corev1.PodSucceeded
			w.must(w.Status().Update(context.Background(), &p))
		}
	}
}

package restore

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/restore"
)

// world is a fake cluster in which others act too. What Kubernetes does in it is
// closer to the real: a pod starts only on claims that are bound and stay, a
// claim is protected by each pod that has a node, an ordered StatefulSet stops
// its pods as the real one does, and makes its claims.
type world struct {
	*fakeCluster
	kind v1alpha1.ApplicationKind
	// held are finalizers of others, and pods of others, that go by themselves at
	// a time.
	until map[string]time.Time
	// remade are claims that somebody makes again once they are gone.
	remade map[string]bool
	// sick is true where no pod of a previous volume is ready.
	sick bool
	// retains: the class of new volumes keeps them.
	retains bool
	// fights: somebody scales the application up again each time.
	fights bool
}

const (
	foreign     = "example.com/held"
	kubeletHas  = "fake/kubelet" // a pod that has a node goes when its kubelet says so
	pvProtected = "kubernetes.io/pv-protection"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

func newWorld(t *testing.T, kind v1alpha1.ApplicationKind, replicas int32) *world {
	clock := clocktesting.NewFakeClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	w := &world{fakeCluster: &fakeCluster{t: t, clock: clock}, kind: kind, until: map[string]time.Time{}, remade: map[string]bool{}}
	objects := backedUp(kind)
	for _, obj := range objects {
		switch o := obj.(type) {
		case *appsv1.StatefulSet:
			o.Spec.Replicas = &replicas
			o.Spec.VolumeClaimTemplates[0].Spec = claimSpec("")
		case *corev1.PersistentVolume:
			o.Finalizers = []string{pvProtected}
		}
	}
	for i := int32(1); i < replicas; i++ {
		objects = append(objects, another(objects, int(i))...)
	}
	w.claimTimeout = time.Minute
	w.Client = newMemory(func() metav1.Time { return metav1.NewTime(clock.Now()) }, objects...)
	for range 3 * replicas {
		w.tick()
	}
	return w
}

// another is a claim of the set with its volume; the backup holds it too.
func another(objects []client.Object, ordinal int) []client.Object {
	var more []client.Object
	claim, volume := fmt.Sprintf("data-db-%d", ordinal), fmt.Sprintf("pv-old-%d", ordinal)
	for _, obj := range objects {
		switch o := obj.(type) {
		case *corev1.PersistentVolumeClaim:
			if o.Name == "data-db-0" {
				c := o.DeepCopy()
				c.Name, c.UID, c.Spec.VolumeName = claim, types.UID("uid-"+claim), volume
				more = append(more, c)
			}
		case *corev1.PersistentVolume:
			if o.Name == "pv-old" {
				v := o.DeepCopy()
				v.Name, v.Spec.ClaimRef = volume, &corev1.ObjectReference{Namespace: shop, Name: claim, UID: types.UID("uid-" + claim)}
				more = append(more, v)
			}
		case *v1alpha1.VolumeBackup:
			o.Status.Volumes = append(o.Status.Volumes, v1alpha1.VolumeStatus{ClaimName: claim, SnapshotName: "s", Driver: "d"})
		}
	}
	return more
}

func claimSpec(volume string) corev1.PersistentVolumeClaimSpec {
	return corev1.PersistentVolumeClaimSpec{
		VolumeName: volume, StorageClassName: ptr.To("fast"), AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources: (&corev1.PersistentVolumeClaim{}).Spec.Resources,
	}
}

// reconcile lets the manager look once, and the cluster go on.
func (w *world) reconcile(manager *Reconciler) *v1alpha1.VolumeRestore {
	// An error is that somebody was faster, and is told in the status.
	again, err := manager.Reconcile(context.Background(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: shop, Name: "r"}})
	w.tick()
	if err != nil {
		again.RequeueAfter = time.Second // the back-off
	}
	w.clock.Step(max(again.RequeueAfter, 100*time.Millisecond))
	return w.theRestore()
}

// theRestore is nil where it is gone.
func (w *world) theRestore() *v1alpha1.VolumeRestore {
	v := &v1alpha1.VolumeRestore{}
	if w.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: "r"}, v) != nil {
		return nil
	}
	return v
}

// work lets a manager work until the restore has ended, or only a person can help;
// nil where it is gone.
func (w *world) work(manager *Reconciler, told bool) *v1alpha1.VolumeRestore {
	var v *v1alpha1.VolumeRestore
	for range 400 {
		if v = w.reconcile(manager); v == nil {
			return nil
		}
		if restore.Ended(v) && !restore.IsRollBackAsked(v) && v.DeletionTimestamp.IsZero() || told && isToldFailed(v) {
			break
		}
	}
	for range 8 {
		w.tick()
		w.clock.Step(time.Second)
	}
	return v
}

func (w *world) tick() {
	if n, there := w.workloadReplicas(); w.fights && there && n == 0 {
		w.scaleTo(1)
	}
	w.expire()
	w.remake()
	w.syncVolumes()
	w.syncClaims()
	w.syncWorkload()
	w.runPods()
	w.protect()
}

// expire lets go what others hold for a time.
func (w *world) expire() {
	for key, at := range w.until {
		if w.clock.Now().Before(at) {
			continue
		}
		w.letGo(key)
	}
}

// letGo ends a pod of others, or takes their finalizer off.
func (w *world) letGo(key string) {
	kind, name, _ := strings.Cut(key, "/")
	switch kind {
	case "pod":
		w.must(w.Delete(context.Background(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name}}))
	case "held":
		w.unhold(name)
	}
	delete(w.until, key)
}

func (w *world) unhold(name string) {
	for _, p := range w.pods() {
		if p.Name == name {
			w.setFinalizers(&p, foreign, false)
		}
	}
	for _, c := range w.claims() {
		if c.Name == name {
			w.setFinalizers(&c, foreign, false)
		}
	}
	if v := w.volume(name); v != nil {
		w.setFinalizers(v, foreign, false)
	}
}

func (w *world) setFinalizers(obj client.Object, finalizer string, has bool) {
	all := slices.DeleteFunc(slices.Clone(obj.GetFinalizers()), func(f string) bool { return f == finalizer })
	if has {
		all = append(all, finalizer)
	}
	if !slices.Equal(all, obj.GetFinalizers()) {
		obj.SetFinalizers(all)
		w.must(w.Update(context.Background(), obj))
	}
}

func (w *world) remake() {
	for name := range w.remade {
		if w.claim(name) == nil {
			c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name, Finalizers: []string{"kubernetes.io/pvc-protection"}}, Spec: claimSpec("")}
			w.must(w.Create(context.Background(), c))
			delete(w.remade, name)
		}
	}
}

// syncVolumes sets their phases, and lets those go whose claim is gone.
func (w *world) syncVolumes() {
	ctx := context.Background()
	var all corev1.PersistentVolumeList
	w.must(w.List(ctx, &all))
	living := map[types.UID]bool{}
	for _, c := range w.claims() {
		living[c.UID] = true
	}
	for i := range all.Items {
		v := &all.Items[i]
		phase, ref := corev1.VolumeReleased, v.Spec.ClaimRef
		switch {
		case ref == nil || ref.UID == "":
			phase = corev1.VolumeAvailable
		case living[ref.UID]:
			phase = corev1.VolumeBound
		}
		if v.Status.Phase != phase {
			v.Status.Phase = phase
			w.must(w.Status().Update(ctx, v))
		}
		if phase != corev1.VolumeBound && !v.DeletionTimestamp.IsZero() {
			w.setFinalizers(v, pvProtected, false)
		} else if phase == corev1.VolumeReleased && v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
			w.must(w.Delete(ctx, v))
		}
	}
}

// syncClaims provisions and binds.
func (w *world) syncClaims() {
	for _, c := range w.claims() {
		switch {
		case c.Status.Phase == corev1.ClaimBound && w.volume(c.Spec.VolumeName) == nil:
			w.setPhase(&c, corev1.ClaimLost)
		case c.Status.Phase == "" || c.Status.Phase == corev1.ClaimPending:
			if c.DeletionTimestamp.IsZero() {
				w.bindClaim(&c)
			}
		}
	}
}

func (w *world) setPhase(c *corev1.PersistentVolumeClaim, phase corev1.PersistentVolumeClaimPhase) {
	c.Status.Phase = phase
	w.must(w.Status().Update(context.Background(), c))
}

func (w *world) bindClaim(c *corev1.PersistentVolumeClaim) {
	v := w.volumeFor(c)
	if v == nil || !v.DeletionTimestamp.IsZero() {
		return
	}
	v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: shop, Name: c.Name, UID: c.UID}
	w.must(w.Update(context.Background(), v))
	c.Spec.VolumeName, c.Finalizers = v.Name, append(slices.DeleteFunc(c.Finalizers, func(f string) bool { return f == "kubernetes.io/pvc-protection" }), "kubernetes.io/pvc-protection")
	w.must(w.Update(context.Background(), c))
	w.setPhase(c, corev1.ClaimBound)
}

// volumeFor is the volume that a claim gets: the one that it names or that is
// reserved for it, else a new one.
func (w *world) volumeFor(c *corev1.PersistentVolumeClaim) *corev1.PersistentVolume {
	var all corev1.PersistentVolumeList
	w.must(w.List(context.Background(), &all))
	for i := range all.Items {
		v := &all.Items[i]
		ref := v.Spec.ClaimRef
		isFor := ref != nil && ref.Name == c.Name && (ref.UID == "" || ref.UID == c.UID)
		if isFor && (c.Spec.VolumeName == "" || c.Spec.VolumeName == v.Name) || ref == nil && c.Spec.VolumeName == v.Name {
			return v
		}
	}
	if c.Spec.VolumeName != "" {
		return nil
	}
	v := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-" + string(c.UID), Finalizers: []string{pvProtected}}}
	v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
	if w.retains {
		v.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
	}
	w.must(w.Create(context.Background(), v))
	return v
}

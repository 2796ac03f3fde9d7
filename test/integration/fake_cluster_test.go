package integration

import (
	"context"
	"strings"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// fakeCluster is a namespace of a real API server, with the parts of a cluster
// that the test stands for: pods and claims, their storage, managers. It notes
// what was seen.
type fakeCluster struct {
	*testing.T
	ctx       context.Context
	namespace string
	driver    string
	storage   *storage
	nodes     fakeNodes
	journal   journal
	// marks is the folder where a hook leaves a mark while it holds.
	marks    string
	managers []*manager
	// apart is by how much the clock of the next manager's machine is ahead. That of
	// the one after it is as much behind.
	apart time.Duration
}

// aFakeCluster is an empty namespace with a driver and a snapshot class of its
// own. Its test runs beside others.
func aFakeCluster(t *testing.T) *fakeCluster {
	t.Helper()
	t.Parallel()
	return aFakeClusterAlone(t)
}

func aFakeClusterAlone(t *testing.T) *fakeCluster {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	fc := &fakeCluster{T: t, ctx: ctx, marks: t.TempDir()}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	fc.create(ns)
	fc.namespace, fc.driver = ns.Name, ns.Name+".csi.test"
	fc.class(fc.namespace+"-class", fc.driver, false)
	fc.attaches(true)
	fc.storage = startStorage(fc)
	t.Cleanup(func() {
		for _, m := range fc.managers {
			m.stop()
		}
		cancel()
		fc.storage.all.Wait()
		if t.Failed() {
			t.Logf("what happened:\n  %s", strings.Join(fc.journal.entries(), "\n  "))
		}
	})
	return fc
}

func (fc *fakeCluster) must(err error) {
	fc.Helper()
	if err != nil {
		fc.Fatal(err)
	}
}

func (fc *fakeCluster) create(obj client.Object) {
	fc.Helper()
	if obj.GetNamespace() == "" {
		obj.SetNamespace(fc.namespace)
	}
	switch obj.(type) {
	case *corev1.Namespace, *corev1.Node, *corev1.PersistentVolume, *snapshotv1.VolumeSnapshotClass, *storagev1.CSIDriver:
		obj.SetNamespace("")
	}
	fc.must(admin.Create(fc.ctx, obj))
}

// writesStatus writes the status of an object of ours, as the operator: all of it,
// also what isn't there any more.
func (fc *fakeCluster) writesStatus(obj client.Object) {
	fc.Helper()
	there := obj.DeepCopyObject().(client.Object)
	fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(obj), there))
	fc.must(operator.Status().Patch(fc.ctx, obj, client.MergeFrom(there)))
}

func (fc *fakeCluster) delete(obj client.Object) {
	fc.Helper()
	fc.must(client.IgnoreNotFound(admin.Delete(fc.ctx, obj, client.GracePeriodSeconds(0))))
}

func (fc *fakeCluster) class(name, driver string, isDefault bool) {
	fc.Helper()
	class := &snapshotv1.VolumeSnapshotClass{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{v1alpha1.MarkCopiesFiles: "false"}},
		Driver:     driver, DeletionPolicy: snapshotv1.VolumeSnapshotContentDelete,
	}
	if isDefault {
		class.Annotations["snapshot.storage.kubernetes.io/is-default-class"] = "true"
	}
	fc.create(class)
}

// attaches says whether the fake cluster's driver attaches its volumes to nodes.
// Where it does, that none is attached shows that no node has one.
func (fc *fakeCluster) attaches(required bool) {
	fc.Helper()
	driver := &storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: fc.driver}}
	fc.delete(driver)
	fc.create(&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: fc.driver}, Spec: storagev1.CSIDriverSpec{AttachRequired: &required}})
}

// claims are bound to volumes of the fake cluster's driver.
func (fc *fakeCluster) claims(names ...string) {
	fc.Helper()
	for _, name := range names {
		fc.boundClaim(name, corev1.PersistentVolumeSource{
			CSI: &corev1.CSIPersistentVolumeSource{Driver: fc.driver, VolumeHandle: fc.namespace + "-" + name},
		})
	}
}

func (fc *fakeCluster) boundClaim(name string, source corev1.PersistentVolumeSource) {
	fc.Helper()
	size := corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	pv := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: fc.namespace + "-" + name},
		Spec: corev1.PersistentVolumeSpec{
			Capacity: size, AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, PersistentVolumeSource: source,
		},
	}
	fc.create(pv)
	pvc := fc.newClaim(name)
	pvc.Spec.VolumeName = pv.Name
	fc.create(pvc)
	pvc.Status.Phase = corev1.ClaimBound
	fc.must(admin.Status().Update(fc.ctx, pvc))
}

func (fc *fakeCluster) patchClaim(name string, change func(*corev1.PersistentVolumeClaim)) {
	fc.Helper()
	claim := &corev1.PersistentVolumeClaim{}
	fc.must(admin.Get(fc.ctx, client.ObjectKey{Namespace: fc.namespace, Name: name}, claim))
	change(claim)
	fc.must(admin.Update(fc.ctx, claim))
}

func (fc *fakeCluster) newClaim(name string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		},
	}
}

// template is a pod of one container, db, that mounts the claims.
func template(claims ...string) corev1.PodTemplateSpec {
	db := corev1.Container{Name: "db", Image: "db"}
	spec := corev1.PodSpec{}
	for _, claim := range claims {
		db.VolumeMounts = append(db.VolumeMounts, corev1.VolumeMount{Name: claim, MountPath: "/" + claim})
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: claim, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
		}})
	}
	spec.Containers = []corev1.Container{db}
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "db"}}, Spec: spec}
}

// runs starts a pod of the template, for an owner or for itself.
func (fc *fakeCluster) runs(name string, of corev1.PodTemplateSpec, owner client.Object) *corev1.Pod {
	fc.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: of.Labels, Annotations: of.Annotations}, Spec: *of.Spec.DeepCopy()}
	pod.Spec.NodeName = "node"
	if owner != nil {
		fc.owns(owner, pod)
	}
	fc.create(pod)
	fc.starts(pod)
	return pod
}

// starts says that a pod and its containers run, as its kubelet does.
func (fc *fakeCluster) starts(pod *corev1.Pod) {
	fc.Helper()
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	for _, c := range pod.Spec.Containers {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, isRunning(c))
	}
	for _, c := range pod.Spec.InitContainers {
		pod.Status.InitContainerStatuses = append(pod.Status.InitContainerStatuses, isRunning(c))
	}
	fc.must(admin.Status().Update(fc.ctx, pod))
}

func isRunning(c corev1.Container) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: c.Name, Image: c.Image, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
}

func (fc *fakeCluster) owns(owner, owned client.Object) {
	fc.Helper()
	gvk, err := admin.GroupVersionKindFor(owner)
	fc.must(err)
	owned.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(owner, gvk)})
}

// anApplication is a bare pod named mysql with the claims, which exist.
func (fc *fakeCluster) anApplication(claims ...string) *corev1.Pod {
	fc.Helper()
	fc.claims(claims...)
	return fc.runs("mysql", template(claims...), nil)
}

// snapshots are those that exist in the namespace.
func (fc *fakeCluster) snapshots() []snapshotv1.VolumeSnapshot {
	fc.Helper()
	var list snapshotv1.VolumeSnapshotList
	fc.must(admin.List(fc.ctx, &list, client.InNamespace(fc.namespace)))
	return list.Items
}

// eventually waits for what no watch tells.
func (fc *fakeCluster) eventually(what string, holds func() bool) {
	fc.Helper()
	deadline := time.After(patience)
	for tick := time.NewTicker(50 * time.Millisecond); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			fc.Fatalf("never came true: %s", what)
		}
	}
}

// patience is how long a condition may take to come true. No test is slower
// for it: it only ends one that would never end.
const patience = 90 * time.Second

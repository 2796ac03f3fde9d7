package integration

import (
	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

func appLabels() map[string]string { return map[string]string{"app": "db"} }

func selector() *metav1.LabelSelector { return &metav1.LabelSelector{MatchLabels: appLabels()} }

// aStatefulSet has one claim template for each name; its pods and claims are
// made by the test, as nobody else makes them here.
func (fc *fakeCluster) aStatefulSet(name string, replicas int32, claimTemplates ...string) *appsv1.StatefulSet {
	fc.Helper()
	set := fc.newStatefulSet(name, replicas, claimTemplates...)
	fc.create(set)
	return set
}

func (fc *fakeCluster) newStatefulSet(name string, replicas int32, claimTemplates ...string) *appsv1.StatefulSet {
	set := &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: fc.namespace, Name: name},
		Spec:       appsv1.StatefulSetSpec{Replicas: &replicas, Selector: selector(), ServiceName: name, Template: template()},
	}
	for _, t := range claimTemplates {
		set.Spec.VolumeClaimTemplates = append(set.Spec.VolumeClaimTemplates, *fc.newClaim(t))
	}
	return set
}

func (fc *fakeCluster) aDeployment(name string, of corev1.PodTemplateSpec) *appsv1.Deployment {
	fc.Helper()
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       appsv1.DeploymentSpec{Replicas: ptr.To[int32](1), Selector: selector(), Template: of},
	}
	fc.create(d)
	return d
}

func (fc *fakeCluster) aReplicaSet(name string, of corev1.PodTemplateSpec, owner *appsv1.Deployment) *appsv1.ReplicaSet {
	fc.Helper()
	r := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       appsv1.ReplicaSetSpec{Replicas: ptr.To[int32](1), Selector: selector(), Template: of},
	}
	if owner != nil {
		fc.owns(owner, r)
	}
	fc.create(r)
	return r
}

// newSnapshotOf is one that an attempt of a backup would make of a claim.
func (fc *fakeCluster) newSnapshotOf(b *v1alpha1.VolumeBackup, claim string, attempt int32) *snapshotv1.VolumeSnapshot {
	return &snapshotv1.VolumeSnapshot{
		ObjectMeta: metav1.ObjectMeta{
			Name: cut.Name(b.Name, b.UID, claim, attempt),
			Labels: map[string]string{
				v1alpha1.LabelBackup: b.Name, v1alpha1.LabelBackupUID: string(b.UID), v1alpha1.LabelClaim: claim, v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
			},
			Annotations: map[string]string{"lull.dev/backup-name": b.Name},
		},
		Spec: snapshotv1.VolumeSnapshotSpec{Source: snapshotv1.VolumeSnapshotSource{PersistentVolumeClaimName: &claim}},
	}
}

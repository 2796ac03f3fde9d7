package integration

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// withSidecar is a pod whose only regular container mounts nothing: a sidecar
// named side mounts the claims.
func withSidecar(claims ...string) corev1.PodTemplateSpec {
	of := template(claims...)
	side := of.Spec.Containers[0]
	side.Name, side.RestartPolicy = "side", ptr.To(corev1.ContainerRestartPolicyAlways)
	of.Spec.Containers[0].VolumeMounts, of.Spec.InitContainers = nil, []corev1.Container{side}
	return of
}

func TestASidecarThatMountsTheVolumeIsQuieted(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	fc.runs("mysql", withSidecar("data"), nil)
	fc.aManager()
	b := fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
	if ran := b.Status.Quiesce.Pods[0].Container; ran != "side" {
		t.Errorf("ran in %s:\n%s", ran, describe(b))
	}
}

// What would be quieted in a container that has nothing to do with the volumes
// isn't known.
func TestAHookIsNotRunInAContainerOfChance(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	of := withSidecar("data")
	of.Spec.InitContainers[0].RestartPolicy = nil // it has run before
	fc.runs("mysql", of, nil)
	fc.aManager()
	fc.awaitFailed(fc.aBackup(fc.held), v1alpha1.ReasonContainerNotFound, "no container of pod mysql mounts a volume that is backed up (data)", "name one of db")
	fc.noCommandRan()
	named := fc.awaitComplete(fc.aBackup(fc.held, func(s *v1alpha1.VolumeBackupSpec) { s.Quiesce.Hold.Container = "db" }), v1alpha1.Proven)
	fc.isWarned(named, v1alpha1.ReasonContainerMountsNone, "container db, which mounts none of the volumes")
}

func TestANeighbourThatOnlyReadsIsNoMatter(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aReader()
	fc.aManager()
	fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
}

func TestANeighbourThatComesToReadIsNoMatter(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	cut := fc.storage.holdFirstCuts()
	fc.aManager()
	b := fc.aBackup(fc.held)
	fc.eventually("a snapshot is asked for", func() bool { return len(fc.storage.made()) == 1 })
	fc.aReader()
	close(cut)
	fc.isMethod(fc.awaitComplete(b, v1alpha1.Proven), v1alpha1.MethodHold, 1)
}

// Nobody writes to what is only read. While it is mounted, what was written last
// may be in a node's memory alone.
func TestWhatIsOnlyReadIsIdle(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data")
	reader := fc.aReader()
	fc.attached(reader.Spec.NodeName)
	fc.aManager()
	b := fc.awaitComplete(fc.aBackupOf(v1alpha1.KindPersistentVolumeClaim, "data"), v1alpha1.Declared)
	fc.isMethod(b, v1alpha1.MethodIdle, 1)
	fc.isSaid(b, "pod neighbour can only read the volumes")
	fc.noCommandRan()
}

// aReader is a pod that mounts claim data only to read it.
func (fc *fakeCluster) aReader() *corev1.Pod {
	fc.Helper()
	of := template("data")
	of.Spec.Containers[0].VolumeMounts[0].ReadOnly = true
	return fc.runs("neighbour", of, nil)
}

// Whoever looks into a pod may begin to write.
func TestAReaderThatBeginsToWriteDisprovesTheHold(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	neighbour := fc.aReader()
	cut := fc.storage.holdFirstCuts()
	fc.aManager()
	b := fc.aBackup(fc.held, attempts(1))
	fc.eventually("a snapshot is asked for", func() bool { return len(fc.storage.made()) == 1 })
	neighbour.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "debug", Image: "debug", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
		ImagePullPolicy: corev1.PullIfNotPresent, TerminationMessagePolicy: corev1.TerminationMessageReadFile,
	}}}
	fc.must(admin.SubResource("ephemeralcontainers").Update(fc.ctx, neighbour))
	close(cut)
	fc.awaitFailed(b, v1alpha1.ReasonQuiesceFailed, "another pod began to use the volumes")
}

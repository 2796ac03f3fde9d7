package cut

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// UnmountGrace is how long a pod's volumes may stay mounted once its containers
// have ended. The kubelet unmounts them after it has told of the end, within a
// few seconds.
const UnmountGrace = 30 * time.Second

// CheckUnmounted is nil where no volume is mounted any more, and a passing
// Problem where one may be. What was written last may be in a node's memory
// alone until the volume is unmounted there, and a snapshot is without it. pods
// are all of the namespace, attachments all of the cluster. An attachment for a
// pod that only reads isn't waited for: see StillMounted.
func CheckUnmounted(volumes []v1alpha1.VolumeStatus, pods []corev1.Pod, attachments []storagev1.VolumeAttachment, now time.Time) error {
	claims := ClaimNames(volumes)
	for i := range pods {
		if p := &pods[i]; workload.IsFinished(p) && workload.Mounts(p, claims...) && mayBeUnmounting(p, now) {
			return v1alpha1.PassingProblemf(v1alpha1.ReasonPodNotRunning,
				"pod %s has ended, and its node may not have unmounted its volumes yet: what it wrote last would be missing", p.Name)
		}
	}
	for _, v := range volumes {
		for _, a := range attachments {
			if ptr.Deref(a.Spec.Source.PersistentVolumeName, "") == v.VolumeName && !workload.IsMountedOn(a.Spec.NodeName, v.ClaimName, pods) {
				return v1alpha1.PassingProblemf(v1alpha1.ReasonPodNotRunning,
					"no pod runs there, but PersistentVolume %s is still attached to node %s, which may not have written all to it yet: kubectl get volumeattachment %s", v.VolumeName, a.Spec.NodeName, a.Name)
			}
		}
	}
	return nil
}

// StillMounted is the doubt about volumes that nobody can write to and that a pod
// has mounted all the same: where that is on the node of who wrote last, they
// were never unmounted there. It is empty where no pod has.
func StillMounted(pods []corev1.Pod, claims []string) string {
	for i := range pods {
		if p := &pods[i]; !workload.IsFinished(p) && workload.Mounts(p, claims...) {
			return fmt.Sprintf("pod %s can only read the volumes, but while it has them mounted its node %s may keep in memory what was written to them last: stop it too to have it proven", p.Name, p.Spec.NodeName)
		}
	}
	return ""
}

// mayBeUnmounting is true for a pod that has ended a moment ago, or that the
// kubelet hasn't let go: it does so once its volumes are unmounted.
func mayBeUnmounting(p *corev1.Pod, now time.Time) bool {
	return !p.DeletionTimestamp.IsZero() || now.Sub(endOf(p)) < UnmountGrace
}

// endOf is when the API server was told last of a pod that has ended. A node's clock,
// which its containers' ends are by, may be wrong: it counts where the API server
// hasn't noted who wrote what. It is zero for a pod that never ran.
func endOf(p *corev1.Pod) (latest time.Time) {
	later := func(t time.Time) {
		if t.After(latest) {
			latest = t
		}
	}
	for _, entry := range p.ManagedFields {
		if entry.Subresource == "status" && entry.Time != nil {
			later(entry.Time.Time)
		}
	}
	if !latest.IsZero() {
		return latest
	}
	for _, c := range slices.Concat(p.Status.ContainerStatuses, p.Status.InitContainerStatuses) {
		if c.State.Terminated != nil {
			later(c.State.Terminated.FinishedAt.Time)
		}
	}
	return latest
}

// ClaimNames are the claims of the volumes.
func ClaimNames(volumes []v1alpha1.VolumeStatus) []string {
	names := make([]string, 0, len(volumes))
	for _, v := range volumes {
		names = append(names, v.ClaimName)
	}
	return names
}

// DriverNames are the drivers of the volumes.
func DriverNames(volumes []v1alpha1.VolumeStatus) []string {
	names := make([]string, 0, len(volumes))
	for _, v := range volumes {
		names = append(names, v.Driver)
	}
	return names
}

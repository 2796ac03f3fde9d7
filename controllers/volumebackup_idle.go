package controllers

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// unmountGrace is how long a pod's volumes may stay mounted once its containers
// have ended. The kubelet unmounts them after it has told of the end, within a
// few seconds.
const unmountGrace = 30 * time.Second

// volumesLetGo is nil where no volume is mounted any more. What was written last
// may be in a node's memory alone until the volume is unmounted there, and a
// snapshot is without it: then Idle would be said of a volume that isn't.
func (r *VolumeBackupReconciler) volumesLetGo(ctx context.Context, app *application, claims []string, p *plan) error {
	for i := range app.all {
		if pod := &app.all[i]; finished(pod) && mounts(pod, claims) && r.mayBeUnmounting(pod) {
			return v1alpha1.PassingProblemf(v1alpha1.ReasonPodNotRunning,
				"pod %s has ended, and its node may not have unmounted its volumes yet: what it wrote last would be missing", pod.Name)
		}
	}
	var attached storagev1.VolumeAttachmentList
	if err := r.Live.List(ctx, &attached); err != nil {
		return err
	}
	for _, a := range attached.Items {
		volume := a.Spec.Source.PersistentVolumeName
		if volume != nil && slices.ContainsFunc(p.volumes, func(v v1alpha1.VolumeStatus) bool { return v.VolumeName == *volume }) {
			return v1alpha1.PassingProblemf(v1alpha1.ReasonPodNotRunning,
				"no pod runs, but PersistentVolume %s is still attached to node %s, which may not have written all to it yet: kubectl get volumeattachment %s", *volume, a.Spec.NodeName, a.Name)
		}
	}
	return nil
}

// mayBeUnmounting is true for a pod that has ended a moment ago, or that the
// kubelet hasn't let go: it does so once its volumes are unmounted.
func (r *VolumeBackupReconciler) mayBeUnmounting(p *corev1.Pod) bool {
	if !p.DeletionTimestamp.IsZero() {
		return true
	}
	return slices.ContainsFunc(slices.Concat(p.Status.ContainerStatuses, p.Status.InitContainerStatuses), func(c corev1.ContainerStatus) bool {
		return c.State.Terminated != nil && r.Clock.Since(c.State.Terminated.FinishedAt.Time) < unmountGrace
	})
}

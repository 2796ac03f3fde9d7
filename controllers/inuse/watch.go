package inuse

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/lull-dev/lull/snapshot/workload"
)

// watch has it remember which pods leave the API.
func (f *Finder) watch(ctx context.Context, pods cache.Cache) error {
	informer, err := pods.GetInformer(ctx, &corev1.Pod{})
	if err != nil {
		return err
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{DeleteFunc: func(obj any) {
		if missed, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
			obj = missed.Obj // as it was last seen
		}
		if p, ok := obj.(*corev1.Pod); ok {
			f.note(workload.DepartureOf(p, f.clock.Now()))
		}
	}})
	return err
}

// OnlyWhereabouts is the transform of a cache that keeps of a pod what tells
// which claims it mounts, where, and whether it has ended.
func OnlyWhereabouts(obj any) (any, error) {
	p, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	kept := &corev1.Pod{TypeMeta: p.TypeMeta}
	kept.Namespace, kept.Name, kept.UID, kept.ResourceVersion = p.Namespace, p.Name, p.UID, p.ResourceVersion
	kept.Spec.NodeName, kept.Status.Phase, kept.Status.Message = p.Spec.NodeName, p.Status.Phase, p.Status.Message
	for _, v := range p.Spec.Volumes {
		switch {
		case v.Ephemeral != nil: // its claim has the name of the pod and of the volume
			v.Ephemeral = &corev1.EphemeralVolumeSource{}
			kept.Spec.Volumes = append(kept.Spec.Volumes, v)
		case v.PersistentVolumeClaim != nil:
			kept.Spec.Volumes = append(kept.Spec.Volumes, v)
		}
	}
	kept.Status.ContainerStatuses = onlyState(p.Status.ContainerStatuses)
	kept.Status.InitContainerStatuses = onlyState(p.Status.InitContainerStatuses)
	kept.Status.EphemeralContainerStatuses = onlyState(p.Status.EphemeralContainerStatuses)
	return kept, nil
}

func onlyState(all []corev1.ContainerStatus) []corev1.ContainerStatus {
	kept := make([]corev1.ContainerStatus, 0, len(all))
	for _, c := range all {
		state := corev1.ContainerState{Running: c.State.Running}
		if c.State.Terminated != nil {
			state.Terminated = &corev1.ContainerStateTerminated{}
		}
		kept = append(kept, corev1.ContainerStatus{State: state, ContainerID: c.ContainerID, RestartCount: c.RestartCount})
	}
	return kept
}

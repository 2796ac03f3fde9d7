package hooks

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// markerFolder is on no volume, can be written to in every container, and is kept when
// a container of the pod is started anew.
const markerFolder = "/dev/shm/"

// addRecovery gives a target whose recipe's freeze outlives its session what thaws it
// then: a post-hook. Both are told by which file they know that something may be
// frozen, and, where it is the volumes that are, their folders. Errors are Problems.
func (t *Target) addRecovery(pod *corev1.Pod, claims []string) error {
	known := recipes[t.Recipe]
	if known.thaw == "" {
		return nil
	}
	given := []string{markerFolder + "lull-" + string(pod.UID)}
	if known.folders {
		folders, err := t.folders(pod, claims)
		if err != nil {
			return err
		}
		given = append(given, folders...)
	}
	t.Hold.Args = slices.Concat(t.Hold.Args, given)
	t.Post = Command{Args: slices.Concat([]string{"/bin/sh", "-c", known.thaw}, given), Container: t.Hold.Container}
	return nil
}

// folders are where the container of a hold mounts the claims that its pod writes to.
func (t *Target) folders(pod *corev1.Pod, claims []string) ([]string, error) {
	var all, elsewhere []string
	for _, claim := range claims {
		if !workload.Writes(pod, claim) {
			continue
		}
		if folder := workload.FolderOf(pod, t.Hold.Container, claim); folder != "" {
			all = append(all, folder)
		} else {
			elsewhere = append(elsewhere, claim)
		}
	}
	switch {
	case len(elsewhere) > 0:
		return nil, v1alpha1.Problemf(v1alpha1.ReasonContainerNotFound,
			"container %s of pod %s has no file system of %s to freeze: the recipe %s needs one container that mounts all volumes of its pod that are backed up, to write. Name it, by the annotation %s or as container in spec.quiesce, or leave the others out, or use a hold of your own",
			t.Hold.Container, pod.Name, names.List(elsewhere), t.Recipe, v1alpha1.AnnotationHookContainer)
	case len(all) == 0:
		return nil, v1alpha1.Problemf(v1alpha1.ReasonInvalidHook,
			"pod %s writes to none of the volumes that are backed up, so the recipe %s has nothing to freeze: leave the recipe out", pod.Name, t.Recipe)
	}
	return all, nil
}

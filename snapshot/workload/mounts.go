package workload

import (
	"cmp"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Access is how a container, or a pod, can reach a claim.
type Access int

// The accesses, the least first.
const (
	NoAccess Access = iota
	ReadAccess
	WriteAccess
)

// Running are the containers of a pod that run side by side, in the order of
// its spec: the regular ones, and then its sidecars, which are init containers
// that go on running
// (https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/).
func Running(spec *corev1.PodSpec) []corev1.Container {
	sidecars := slices.DeleteFunc(slices.Clone(spec.InitContainers), func(c corev1.Container) bool { return !isSidecar(&c) })
	return slices.Concat(spec.Containers, sidecars)
}

func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// Mounting are the names of a pod's containers that run side by side and mount
// one of the claims: those that can write to one first, then those that only
// read.
func Mounting(p *corev1.Pod, claims ...string) []string {
	access := map[string]Access{}
	var names []string
	for _, c := range Running(&p.Spec) {
		if access[c.Name] = accessOf(p, c.VolumeMounts, c.VolumeDevices, claims); access[c.Name] > NoAccess {
			names = append(names, c.Name)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(access[b], access[a]) })
	return names
}

// accessOf is how mounts and devices of one container reach the claims. Whoever
// mounts a claim only to read it says so, in the mount or in the volume. That
// the claim's access mode is ReadOnlyMany says nothing: it binds nobody once the
// volume is mounted
// (https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes).
func accessOf(p *corev1.Pod, mounts []corev1.VolumeMount, devices []corev1.VolumeDevice, claims []string) Access {
	most := NoAccess
	for _, m := range mounts {
		most = max(most, throughVolume(p, m.Name, m.ReadOnly, claims))
	}
	for _, d := range devices {
		most = max(most, throughVolume(p, d.Name, false, claims))
	}
	return most
}

func throughVolume(p *corev1.Pod, name string, readOnly bool, claims []string) Access {
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		switch source := v.PersistentVolumeClaim; {
		case v.Name != name || !slices.Contains(claims, claimOf(p, v)):
		case readOnly || source != nil && source.ReadOnly:
			return ReadAccess
		default:
			return WriteAccess
		}
	}
	return NoAccess
}

// FolderOf is where a container that runs mounts a claim to write, the first such
// place, empty where it doesn't, or has it as a block device.
func FolderOf(p *corev1.Pod, container, claim string) string {
	for _, c := range Running(&p.Spec) {
		for _, m := range c.VolumeMounts {
			if c.Name == container && throughVolume(p, m.Name, m.ReadOnly, []string{claim}) == WriteAccess {
				return path.Clean(m.MountPath)
			}
		}
	}
	return ""
}

// Writes is true for a pod with a container that can write to one of the claims,
// at once or later. A volume that no container mounts is written by none.
func Writes(p *corev1.Pod, claims ...string) bool {
	for _, may := range writersOf(p, claims) {
		if may {
			return true
		}
	}
	return false
}

// writersOf are the containers of a pod that can write to one of the claims, or
// could, by their names: true for those that may still.
func writersOf(p *corev1.Pod, claims []string) map[string]bool {
	found := map[string]bool{}
	if p.Spec.NodeName == "" || wasRejected(p) {
		return found
	}
	note := func(name string, mounts []corev1.VolumeMount, devices []corev1.VolumeDevice, may bool) {
		if accessOf(p, mounts, devices, claims) == WriteAccess {
			found[name] = may
		}
	}
	for _, c := range p.Spec.Containers {
		note(c.Name, c.VolumeMounts, c.VolumeDevices, true)
	}
	for _, c := range p.Spec.InitContainers {
		note(c.Name, c.VolumeMounts, c.VolumeDevices, isSidecar(&c) || !hasSucceeded(p.Status.InitContainerStatuses, c.Name))
	}
	for _, c := range p.Spec.EphemeralContainers {
		note(c.Name, c.VolumeMounts, c.VolumeDevices, !hasEnded(p.Status.EphemeralContainerStatuses, c.Name))
	}
	return found
}

// Writer is a container of a pod that can write to a claim, or could.
type Writer struct {
	Pod       types.UID
	Container string
}

// Writers are the containers of pods that can write to one of the claims, or
// could: true for those that may still.
func Writers(pods []corev1.Pod, claims []string) map[Writer]bool {
	found := map[Writer]bool{}
	for i := range pods {
		for container, may := range writersOf(&pods[i], claims) {
			found[Writer{pods[i].UID, container}] = may
		}
	}
	return found
}

// HasNewWriter is true where a container may have written after a look at the
// pods, and not before, by a second look. One that came, wrote and ended between
// the two is seen by the second: a pod stays in the API when it has finished.
func HasNewWriter(before, after map[Writer]bool) bool {
	for w, may := range after {
		if could, wasThere := before[w]; !wasThere || may && !could {
			return true
		}
	}
	return false
}

// hasSucceeded is true for an init container that won't run again for as long as
// its pod's sandbox lives: one that failed may.
func hasSucceeded(statuses []corev1.ContainerStatus, name string) bool {
	return slices.ContainsFunc(statuses, func(s corev1.ContainerStatus) bool {
		return s.Name == name && s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
	})
}

// hasEnded is true for a container that has. An ephemeral one is never started
// again.
func hasEnded(statuses []corev1.ContainerStatus, name string) bool {
	return slices.ContainsFunc(statuses, func(s corev1.ContainerStatus) bool {
		return s.Name == name && s.State.Terminated != nil
	})
}

package workload

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Mount is where a container has a volume.
type Mount struct {
	Container string
	// Folder is the path of the mount, or of the block device.
	Folder string
	// Volume is its name in the pod, Claim that of a claim that outlasts the pod, empty
	// where it has none.
	Volume, Claim string
	// IsBackedUp is true where the claim is.
	IsBackedUp bool
	// IsScratch is true for what nothing can be lost of: it can't be written to, is in
	// memory, or is filled by the kubelet or a driver.
	IsScratch bool
}

// MountsFor are the volumes that a container has, and those of the first that can write
// to one of the claims that are backed up: the one may only ask the other, which has
// the files. It comes first only where it has a claim too.
func MountsFor(p *corev1.Pod, container string, claims []string) []Mount {
	containers, mounting := []string{container}, Mounting(p, claims...)
	switch {
	case slices.Contains(mounting, container):
		containers = append(containers, mounting[0])
	case len(mounting) > 0:
		containers = []string{mounting[0], container}
	}
	var all []Mount
	for _, name := range slices.Compact(containers) {
		for _, c := range Running(&p.Spec) {
			if c.Name == name {
				all = append(all, mountsOf(p, &c, claims)...)
			}
		}
	}
	return all
}

func mountsOf(p *corev1.Pod, c *corev1.Container, claims []string) (all []Mount) {
	add := func(volume, folder string, isReadOnly bool) {
		at := slices.IndexFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == volume })
		if at < 0 {
			return
		}
		v := &p.Spec.Volumes[at]
		m := Mount{Container: c.Name, Folder: path.Clean(folder), Volume: volume, IsBackedUp: slices.Contains(claims, claimOf(p, v))}
		if v.PersistentVolumeClaim != nil {
			m.Claim = v.PersistentVolumeClaim.ClaimName
		}
		m.IsScratch = isReadOnly || isFilled(v) || v.EmptyDir != nil && v.EmptyDir.Medium == corev1.StorageMediumMemory
		all = append(all, m)
	}
	for _, m := range c.VolumeMounts {
		add(m.Name, m.MountPath, m.ReadOnly)
	}
	for _, d := range c.VolumeDevices {
		add(d.Name, d.DevicePath, false)
	}
	return all
}

// isFilled is true for a volume of objects, of an image, or of what a driver makes for
// a pod, such as certificates.
func isFilled(v *corev1.Volume) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil || v.Image != nil || v.CSI != nil
}

// Under are the mounts that what is in a folder is on: the innermost that the folder is
// in, and those in the folder that something can be lost of. It is none where no
// container has the folder on a volume; else the first that has counts.
func Under(mounts []Mount, folder string) []Mount {
	folder = path.Clean(folder)
	var around *Mount
	for i, m := range mounts {
		if isIn(folder, m.Folder) && (around == nil || m.Container == around.Container && isIn(m.Folder, around.Folder)) {
			around = &mounts[i]
		}
	}
	if around == nil {
		return nil
	}
	under := []Mount{*around}
	for _, m := range mounts {
		if m.Container == around.Container && m.Folder != folder && isIn(m.Folder, folder) && !m.IsScratch {
			under = append(under, m)
		}
	}
	return under
}

// isIn is true for a folder, and what is in it.
func isIn(what, folder string) bool {
	return what == folder || strings.HasPrefix(what, strings.TrimSuffix(folder, "/")+"/")
}

package workload

import (
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Mount is a volume in a folder of a container.
type Mount struct {
	Folder string
	// Volume is its name in the pod, Claim that of its claim, empty where it has none.
	Volume, Claim string
	// IsBackedUp is true where the claim is.
	IsBackedUp bool
}

// MountsIn are the volumes that a container mounts, or, where that has none of the
// claims that are backed up, those of the containers that have one: it may only ask
// the one that has the files. Volumes that the kubelet fills from objects, or from an
// image, have no files of an application, and are left out.
func MountsIn(p *corev1.Pod, container string, claims []string) []Mount {
	of := Mounting(p, claims...)
	if slices.Contains(of, container) || len(of) == 0 {
		of = []string{container}
	}
	var all []Mount
	for _, c := range Running(&p.Spec) {
		for _, m := range c.VolumeMounts {
			at := slices.IndexFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
			if at < 0 || !slices.Contains(of, c.Name) || isFilled(&p.Spec.Volumes[at]) {
				continue
			}
			claim := claimOf(p, &p.Spec.Volumes[at])
			all = append(all, Mount{Folder: path.Clean(m.MountPath), Volume: m.Name, Claim: claim, IsBackedUp: slices.Contains(claims, claim)})
		}
	}
	return all
}

func isFilled(v *corev1.Volume) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.DownwardAPI != nil || v.Projected != nil || v.Image != nil
}

// Under are the mounts that what is in a folder is on: the innermost that the folder is
// in, and those that are in the folder. None where the first is no volume's.
func Under(mounts []Mount, folder string) []Mount {
	folder = path.Clean(folder)
	var around *Mount
	var inside []Mount
	for i, m := range mounts {
		switch {
		case isIn(folder, m.Folder):
			if around == nil || isIn(m.Folder, around.Folder) {
				around = &mounts[i]
			}
		case isIn(m.Folder, folder):
			inside = append(inside, m)
		}
	}
	if around == nil {
		return nil
	}
	return append([]Mount{*around}, inside...)
}

// isIn is true for a folder, or what is in it.
func isIn(what, folder string) bool {
	return what == folder || strings.HasPrefix(what, strings.TrimSuffix(folder, "/")+"/")
}

package framework

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Folder is one that an application has on a claim, and the path where it is
// mounted. It is below the root of its volume, where a file system has a folder of
// its own.
type Folder struct{ Claim, Name, Path string }

// Apart is the application with its files in these folders, of which several may be
// on one claim.
func (a Application) Apart(folders ...Folder) Application {
	a.Claims = nil
	var mounts []corev1.VolumeMount
	for _, f := range folders {
		if !slices.Contains(a.Claims, f.Claim) {
			a.Claims = append(a.Claims, f.Claim)
		}
		mounts = append(mounts, corev1.VolumeMount{Name: f.Claim, MountPath: f.Path, SubPath: f.Name})
	}
	a.Change = func(o client.Object) { PodSpec(o).Containers[0].VolumeMounts = mounts }
	return a
}

// PodSpec is that of a workload of an Application, nil where it is of a kind that
// Application doesn't make.
func PodSpec(workload client.Object) *corev1.PodSpec {
	switch w := workload.(type) {
	case *corev1.Pod:
		return &w.Spec
	case *appsv1.Deployment:
		return &w.Spec.Template.Spec
	case *appsv1.StatefulSet:
		return &w.Spec.Template.Spec
	case *appsv1.DaemonSet:
		return &w.Spec.Template.Spec
	}
	return nil
}

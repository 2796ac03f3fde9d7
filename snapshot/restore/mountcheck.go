package restore

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

const (
	// MountCheckCommand is the argument by which the operator's own image checks
	// mounts. The paths come after it.
	MountCheckCommand = "check-mounts"
	// mountCheckUser is the user of that image.
	mountCheckUser = 65532
)

// MountCheckPod is a short pod that mounts new claims where the application can
// run. By it a claim of a class that waits for its first consumer binds, the
// file system's journal is replayed, and it is seen that the volumes mount, all
// while the application still runs. w and node, which the application runs on,
// may be missing.
func MountCheckPod(r *v1alpha1.VolumeRestore, name string, claims []v1alpha1.RestoredClaim, w *workload.Workload, node, image string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.Namespace, Name: name,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(r, v1alpha1.GroupVersion.WithKind("VolumeRestore"))},
			Labels: map[string]string{
				v1alpha1.LabelRestore:    names.LabelValue(r.Name),
				v1alpha1.LabelRestoreUID: string(r.UID),
				v1alpha1.LabelManagedBy:  v1alpha1.ManagedBy,
			},
			// A mesh's sidecar would keep the pod from ending.
			Annotations: map[string]string{"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"},
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyOnFailure,
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](mountCheckUser), RunAsGroup: ptr.To[int64](mountCheckUser),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{mountCheckContainer(image)},
		},
	}
	for i := range claims {
		mount(&p.Spec, fmt.Sprintf("volume-%d", i), &claims[i])
	}
	if w != nil {
		constrain(&p.Spec, w)
	}
	prefer(&p.Spec, node)
	return p
}

func mountCheckContainer(image string) corev1.Container {
	return corev1.Container{
		Name: MountCheckCommand, Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{MountCheckCommand},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("128Mi")},
		},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

func mount(spec *corev1.PodSpec, name string, c *v1alpha1.RestoredClaim) {
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: NewClaimName(c)},
	}})
	container, path := &spec.Containers[0], "/volumes/"+name
	container.Args = append(container.Args, path)
	if ptr.Deref(c.Shape.VolumeMode, corev1.PersistentVolumeFilesystem) == corev1.PersistentVolumeBlock {
		container.VolumeDevices = append(container.VolumeDevices, corev1.VolumeDevice{Name: name, DevicePath: path})
		return
	}
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: path})
}

// constrain lets the pod run only where the application can. Terms that speak
// of the application's own pods are left out: those still run, and would keep
// the pod away from the very nodes that they are going to leave.
func constrain(spec *corev1.PodSpec, w *workload.Workload) {
	from := w.Template.Spec.DeepCopy()
	spec.NodeSelector = from.NodeSelector
	spec.Tolerations = from.Tolerations
	spec.SchedulerName = from.SchedulerName
	spec.PriorityClassName = from.PriorityClassName
	spec.RuntimeClassName = from.RuntimeClassName
	spec.ImagePullSecrets = from.ImagePullSecrets
	if from.Affinity == nil {
		return
	}
	spec.Affinity = from.Affinity
	if a := spec.Affinity.PodAffinity; a != nil {
		a.RequiredDuringSchedulingIgnoredDuringExecution = notOf(w.Template.Labels, a.RequiredDuringSchedulingIgnoredDuringExecution)
	}
	if a := spec.Affinity.PodAntiAffinity; a != nil {
		a.RequiredDuringSchedulingIgnoredDuringExecution = notOf(w.Template.Labels, a.RequiredDuringSchedulingIgnoredDuringExecution)
	}
}

func notOf(own map[string]string, terms []corev1.PodAffinityTerm) []corev1.PodAffinityTerm {
	var kept []corev1.PodAffinityTerm
	for _, t := range terms {
		selector, err := metav1.LabelSelectorAsSelector(t.LabelSelector)
		if err == nil && !selector.Matches(labels.Set(own)) {
			kept = append(kept, t)
		}
	}
	return kept
}

// prefer draws the pod to the node that the application runs on, so that its
// new volumes lie as its old ones did.
func prefer(spec *corev1.PodSpec, node string) {
	if node == "" {
		return
	}
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	if spec.Affinity.NodeAffinity == nil {
		spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	a := spec.Affinity.NodeAffinity
	a.PreferredDuringSchedulingIgnoredDuringExecution = append(a.PreferredDuringSchedulingIgnoredDuringExecution, corev1.PreferredSchedulingTerm{
		Weight: 100,
		Preference: corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{
			{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}},
		}},
	})
}

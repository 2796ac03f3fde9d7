package restore

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/workload"
)

// MountCheckCommand is the argument by which the operator's own image checks
// mounts. The paths come after it.
const MountCheckCommand = "check-mounts"

// conditionServes is a condition that no pod of ours ever has: by its readiness
// gate it is never ready, so that no Service sends it anything.
const conditionServes corev1.PodConditionType = "lull.dev/serves"

// mountCheckPod is a short pod that mounts new claims where the application can
// run. By it a claim of a class that waits for its first consumer binds, the
// file system's journal is replayed, and it is seen that the volumes mount, all
// while the application still runs. The node, which the application runs on, may
// be missing, and so may the workload.
func (s *State) mountCheckPod(name string, claims []v1alpha1.RestoredClaim, node string) *corev1.Pod {
	r := s.Restore
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.Namespace, Name: name,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(r, v1alpha1.GroupVersion.WithKind("VolumeRestore"))},
			Labels:          s.mountCheckLabels(),
			// A mesh's sidecar would keep the pod from ending.
			Annotations: map[string]string{"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"},
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyOnFailure,
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false),
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			ReadinessGates:                []corev1.PodReadinessGate{{ConditionType: conditionServes}},
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   ptr.To(true), // as the image's own user where nothing else is said
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{mountCheckContainer(s.Image, s.Rules.Fitted(s.Resources))},
		},
	}
	for i := range claims {
		mount(&p.Spec, fmt.Sprintf("volume-%d", i), &claims[i])
	}
	if s.Workload != nil {
		constrain(&p.Spec, s.Workload)
	}
	if like := s.like(); like != nil {
		admit(&p.Spec, &like.Template.Spec)
	}
	prefer(&p.Spec, node)
	return p
}

// notSelected is the value of a label by which something selects the
// application's pods.
const notSelected = "lull-mount-check"

// like is the workload that the pod is like, nil where there is none: one that
// is touched, or whose claims alone are made.
func (s *State) like() *workload.Workload { return cmp.Or(s.Workload, s.Model) }

func (s *State) mountCheckLabels() map[string]string {
	all := s.Rules.LabelsLike(s.like(), notSelected)
	maps.Copy(all, map[string]string{
		v1alpha1.LabelRestore:    names.LabelValue(s.Restore.Name),
		v1alpha1.LabelRestoreUID: string(s.Restore.UID),
		v1alpha1.LabelManagedBy:  v1alpha1.ManagedBy,
	})
	return all
}

// mountCheckMend says what a person may do where the pod is refused.
func (s *State) mountCheckMend() string {
	asks := s.Rules.Fitted(s.Resources)
	var amounts []string
	for _, name := range slices.Sorted(maps.Keys(asks.Requests)) {
		request, limit := asks.Requests[name], asks.Limits[name]
		amounts = append(amounts, fmt.Sprintf("%s %s to %s", name, &request, &limit))
	}
	fitted := ""
	if limits := s.Rules.LimitNames(); len(limits) > 0 {
		fitted = " by LimitRange " + strings.Join(limits, ", ")
	}
	return fmt.Sprintf(". It asks for %s: what the manager's --mount-check-resources says, fitted to the namespace%s. Of the application's pods it has the labels, but those that select them, the nodes, the priority class and the user", strings.Join(amounts, ", "), fitted)
}

func mountCheckContainer(image string, resources corev1.ResourceRequirements) corev1.Container {
	return corev1.Container{
		Name: MountCheckCommand, Image: image, ImagePullPolicy: corev1.PullIfNotPresent, Args: []string{MountCheckCommand},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		Resources:                resources,
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
	spec.SchedulerName = from.SchedulerName
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

// admit gives the pod what the application's pods are admitted by, to the
// namespace and to nodes.
func admit(spec, application *corev1.PodSpec) {
	from := application.DeepCopy()
	spec.Tolerations = from.Tolerations
	spec.PriorityClassName = from.PriorityClassName
	spec.RuntimeClassName = from.RuntimeClassName
	spec.ImagePullSecrets = from.ImagePullSecrets
	spec.SecurityContext.RunAsUser, spec.SecurityContext.RunAsGroup = userOf(from)
	if c := from.SecurityContext; c != nil {
		spec.SecurityContext.SELinuxOptions = c.SELinuxOptions
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

// userOf is the user that the containers of an application run as, nil for that
// of the image and for root.
func userOf(spec *corev1.PodSpec) (user, group *int64) {
	if c := spec.SecurityContext; c != nil {
		user, group = c.RunAsUser, c.RunAsGroup
	}
	for i := range spec.Containers {
		if c := spec.Containers[i].SecurityContext; c != nil && user == nil {
			user, group = c.RunAsUser, c.RunAsGroup
		}
	}
	if user == nil || *user == 0 {
		return nil, nil
	}
	return user, group
}

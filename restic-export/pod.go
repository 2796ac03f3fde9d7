package resticexport

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// moverID is the user that a mover is by default, and the group that it always
// is: a repository in a claim belongs to that group.
const moverID int64 = 65532

// goodbye is how long a mover has to end: restic takes up to a minute to remove
// its lock.
const goodbye int64 = 90

func (in *JobInput) podSpec() corev1.PodSpec {
	mover := &in.Spec.Mover
	var access Access
	if in.Repository != "" {
		access = in.access()
		access.mountOldPassword(in.OldPassword)
	}
	spec := corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		ServiceAccountName:            in.account(),
		AutomountServiceAccountToken:  ptr.To(false),
		EnableServiceLinks:            ptr.To(false),
		TerminationGracePeriodSeconds: ptr.To(goodbye),
		NodeSelector:                  mover.NodeSelector,
		Tolerations:                   mover.Tolerations,
		SecurityContext:               in.podSecurity(),
		Volumes:                       access.Volumes,
		Containers:                    []corev1.Container{in.container(access)},
	}
	if in.Repository != "" {
		in.mountCache(&spec)
		mountEmpty(&spec, "tmp", temporaryPath, "2Gi")
	}
	in.mountData(&spec)
	return spec
}

func (in *JobInput) access() Access {
	if in.From != nil {
		return AccessToBoth(in.Spec, &in.From.Spec)
	}
	return AccessTo(in.Spec)
}

func (in *JobInput) account() string {
	if in.From != nil {
		return accountOf(in.Spec, &in.From.Spec)
	}
	return in.Spec.Mover.ServiceAccountName
}

func (in *JobInput) container(access Access) corev1.Container {
	resources := Resources(&in.Spec.Mover)
	c := corev1.Container{
		Name: Container, Image: in.Image, ImagePullPolicy: corev1.PullIfNotPresent,
		Command:                  []string{MoverPath},
		Env:                      append(access.Env, append(in.variables(access.URL), limits(resources)...)...),
		VolumeMounts:             access.Mounts,
		Resources:                resources,
		TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		SecurityContext:          in.containerSecurity(),
	}
	for _, option := range access.Options {
		c.Args = append(c.Args, "--option="+option)
	}
	c.Args = append(c.Args, "--", in.Task.String())
	return c
}

// Resources are those that are asked for, or what most repositories need: restic
// holds the index of all data in memory.
func Resources(mover *v1alpha1.MoverSpec) corev1.ResourceRequirements {
	asked := mover.Resources
	if len(asked.Requests)+len(asked.Limits)+len(asked.Claims) > 0 {
		return asked
	}
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("256Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
	}
}

// variables are those of restic that follow from the Job alone.
func (in *JobInput) variables(url string) []corev1.EnvVar {
	if in.Repository == "" {
		return nil
	}
	return []corev1.EnvVar{
		{Name: EnvRepository, Value: url},
		{Name: EnvCacheDir, Value: cachePath},
		{Name: EnvTemporary, Value: temporaryPath},
		{Name: EnvHome, Value: temporaryPath},
	}
}

// limits are what Go is told of its limits. It collects its garbage harder where it
// comes near to nine tenths of the memory that there is.
func limits(resources corev1.ResourceRequirements) (all []corev1.EnvVar) {
	if memory, is := resources.Limits[corev1.ResourceMemory]; is && !memory.IsZero() {
		all = append(all, corev1.EnvVar{Name: EnvMemoryLimit, Value: strconv.FormatInt(memory.Value()/10*9, 10)})
	}
	if cpu, is := resources.Limits[corev1.ResourceCPU]; is && !cpu.IsZero() {
		all = append(all, corev1.EnvVar{Name: EnvProcessors, Value: strconv.FormatInt(cpu.Value(), 10)})
	}
	return all
}

func (in *JobInput) podSecurity() *corev1.PodSecurityContext {
	as := in.reading()
	group := ptr.Deref(as.Group, moverID)
	if group != moverID {
		as.Groups = append(as.Groups, moverID)
	}
	security := &corev1.PodSecurityContext{
		RunAsNonRoot: ptr.To(!in.Privileged),
		RunAsUser:    ptr.To(in.RunsAs()), RunAsGroup: ptr.To(group),
		SupplementalGroups: as.Groups,
		FSGroup:            in.fsGroup(),
		SeccompProfile:     &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if security.FSGroup != nil {
		security.FSGroupChangePolicy = ptr.To(corev1.FSGroupChangeOnRootMismatch)
	}
	return security
}

func (in *JobInput) reading() Reading {
	return Reading{User: in.User, Groups: in.Groups, Privileged: in.Privileged}.Of(&in.Spec.Mover)
}

// RunsAs is the user that the mover is.
func (in *JobInput) RunsAs() int64 {
	if in.Privileged {
		return 0
	}
	return in.reading().ID()
}

func (in *JobInput) fsGroup() *int64 {
	switch {
	case in.IsInUse, in.isExport() && in.Cache == nil:
		return nil
	case in.Spec.Backend.Volume != nil, in.From != nil && in.From.Spec.Backend.Volume != nil:
		return ptr.To(moverID)
	case in.Target != "" && in.FSGroup != nil:
		return in.FSGroup
	case in.Target != "", in.Cache != nil:
		return ptr.To(moverID)
	}
	return nil
}

func (in *JobInput) isExport() bool { return in.Source != "" && in.Target == "" }

// The capabilities of a privileged mover: of one that reads, and of one that
// writes.
var (
	toRead  = []corev1.Capability{"DAC_READ_SEARCH"}
	toWrite = []corev1.Capability{"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD", "SETFCAP"}
)

func (in *JobInput) containerSecurity() *corev1.SecurityContext {
	capabilities := &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}
	switch {
	case in.Privileged && in.Target != "":
		capabilities.Add = toWrite
	case in.Privileged:
		capabilities.Add = toRead
	}
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true), Capabilities: capabilities,
	}
}

func mountEmpty(spec *corev1.PodSpec, name, at, most string) {
	limit := resource.MustParse(most)
	mountInto(spec, corev1.VolumeMount{Name: name, MountPath: at}, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &limit}})
}

func (in *JobInput) mountCache(spec *corev1.PodSpec) {
	if in.Cache == nil {
		mountEmpty(spec, "cache", cachePath, "8Gi")
		return
	}
	mountInto(spec, corev1.VolumeMount{Name: "cache", MountPath: cachePath}, claimed(in.Cache.Name, false))
}

// mountData gives the pod the volume. A source is read-only in the container but
// not in the pod: a kubelet gives a claim that is read-only no group at all. That is
// just right for one beside a target, or beside a cache, that needs the group: the
// kubelet would change group and mode of every file before they are read.
func (in *JobInput) mountData(spec *corev1.PodSpec) {
	claim, isCopied := in.Target, in.Source != "" && in.Target != ""
	if isCopied {
		mountInto(spec, corev1.VolumeMount{Name: "source", MountPath: SourcePath, ReadOnly: true}, claimed(in.Source, true))
	} else {
		claim += in.Source
	}
	if claim == "" {
		return
	}
	source := claimed(claim, in.isExport() && in.Cache != nil && !in.IsDevice)
	if in.IsDevice {
		spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "data", VolumeSource: source})
		spec.Containers[0].VolumeDevices = []corev1.VolumeDevice{{Name: "data", DevicePath: DevicePath}}
		return
	}
	mountInto(spec, corev1.VolumeMount{Name: "data", MountPath: DataPath, ReadOnly: in.Target == ""}, source)
}

func claimed(claim string, readOnly bool) corev1.VolumeSource {
	return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim, ReadOnly: readOnly}}
}

func mountInto(spec *corev1.PodSpec, mount corev1.VolumeMount, source corev1.VolumeSource) {
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: mount.Name, VolumeSource: source})
	spec.Containers[0].VolumeMounts = append(spec.Containers[0].VolumeMounts, mount)
}

package resticexport

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func anInput() JobInput {
	return JobInput{
		Name: "export-web", Namespace: "shop", Repository: "offsite", Image: "lull", Source: "clone",
		Spec: aSpec(v1alpha1.RepositoryBackend{S3: &v1alpha1.S3Backend{Bucket: "b", Region: "eu-1"}}),
		Task: Task{Check: &Check{}}, Labels: map[string]string{"lull.dev/backup": "b", v1alpha1.LabelManagedBy: "me"},
	}
}

func podOf(in JobInput) *corev1.PodSpec { return &Job(in).Spec.Template.Spec }

// https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
func TestAMoversPodIsRestricted(t *testing.T) {
	for name, change := range map[string]func(*JobInput){
		"by default": func(*JobInput) {},
		"as a user":  func(in *JobInput) { in.User = ptr.To[int64](999); in.Groups = []int64{999} },
		"as asked":   asked(&corev1.PodSecurityContext{RunAsUser: ptr.To[int64](999), RunAsGroup: ptr.To[int64](0), SupplementalGroups: []int64{1}}),
		"a target":   func(in *JobInput) { in.Source, in.Target = "", "new" },
		"a device":   func(in *JobInput) { in.IsDevice = true },
	} {
		in := anInput()
		change(&in)
		pod := podOf(in)
		c := pod.Containers[0]
		switch s := pod.SecurityContext; {
		case !*s.RunAsNonRoot, *s.RunAsUser == 0, s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault,
			*c.SecurityContext.AllowPrivilegeEscalation, len(c.SecurityContext.Capabilities.Add) > 0,
			!slices.Equal(c.SecurityContext.Capabilities.Drop, []corev1.Capability{"ALL"}), c.SecurityContext.Privileged != nil:
			t.Errorf("%s: it isn't restricted: %+v %+v", name, s, c.SecurityContext)
		}
		if *pod.AutomountServiceAccountToken || !*c.SecurityContext.ReadOnlyRootFilesystem || *pod.EnableServiceLinks {
			t.Errorf("%s: %+v", name, pod)
		}
		for _, v := range pod.Volumes {
			if v.EmptyDir != nil && v.EmptyDir.SizeLimit == nil {
				t.Errorf("%s: %s has no limit", name, v.Name)
			}
		}
	}
}

func TestWhoAMoverIs(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(*JobInput)
		user    int64
		fsGroup *int64
		adds    int
	}{
		"a source":                 {change: func(*JobInput) {}, user: 65532},
		"a source, as a user":      {change: func(in *JobInput) { in.User, in.FSGroup = ptr.To[int64](999), ptr.To[int64](999) }, user: 999},
		"a source, privileged":     {change: func(in *JobInput) { in.Privileged = true }, user: 0, adds: 1},
		"a target":                 {change: aTarget, user: 65532, fsGroup: ptr.To[int64](65532)},
		"a target, for a group":    {change: func(in *JobInput) { aTarget(in); in.FSGroup = ptr.To[int64](999) }, user: 65532, fsGroup: ptr.To[int64](999)},
		"a target, privileged":     {change: func(in *JobInput) { aTarget(in); in.Privileged = true }, user: 0, fsGroup: ptr.To[int64](65532), adds: 6},
		"no volume":                {change: noVolume, user: 65532},
		"no volume, into a claim":  {change: func(in *JobInput) { noVolume(in); intoAClaim(in) }, user: 65532, fsGroup: ptr.To[int64](65532)},
		"a source, into a claim":   {change: intoAClaim, user: 65532},
		"a source, with a cache":   {change: aCache, user: 65532, fsGroup: ptr.To[int64](65532)},
		"no volume, with a cache":  {change: func(in *JobInput) { noVolume(in); aCache(in) }, user: 65532, fsGroup: ptr.To[int64](65532)},
		"a target, with a cache":   {change: func(in *JobInput) { aTarget(in); aCache(in); in.FSGroup = ptr.To[int64](999) }, user: 65532, fsGroup: ptr.To[int64](999)},
		"a target, out of a claim": {change: func(in *JobInput) { aTarget(in); intoAClaim(in); in.FSGroup = ptr.To[int64](1) }, user: 65532, fsGroup: ptr.To[int64](65532)},
	} {
		in := anInput()
		in.Groups = []int64{7}
		c.change(&in)
		s, container := podOf(in).SecurityContext, podOf(in).Containers[0].SecurityContext
		if *s.RunAsUser != c.user || *s.RunAsGroup != 65532 || ptr.Deref(s.FSGroup, -1) != ptr.Deref(c.fsGroup, -1) || len(container.Capabilities.Add) != c.adds {
			t.Errorf("%s: %+v %+v", name, s, container.Capabilities)
		}
		if !slices.Equal(s.SupplementalGroups, []int64{7}) || s.FSGroup != nil && *s.FSGroupChangePolicy != corev1.FSGroupChangeOnRootMismatch {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// The group makes the cache writable. It is nothing for the volume that is exported: a
// kubelet would change all of its files.
func TestACacheIsWritableAndWhatIsExportedKeepsItsGroups(t *testing.T) {
	in := anInput()
	if v := volumeOf(podOf(in), "cache"); v == nil || v.EmptyDir == nil {
		t.Errorf("by default: %+v", v)
	}
	aCache(&in)
	pod := podOf(in)
	if v := volumeOf(pod, "cache"); v == nil || v.PersistentVolumeClaim == nil || v.PersistentVolumeClaim.ClaimName != "cache-web" || v.PersistentVolumeClaim.ReadOnly {
		t.Errorf("%+v", v)
	}
	if claimOf(pod) != "read-only" || !mountOf(pod, "data").ReadOnly {
		t.Errorf("what is exported: %+v", pod.Volumes)
	}
	if Job(in).Labels[v1alpha1.LabelCache] != "cache-web" {
		t.Errorf("%v", Job(in).Labels)
	}
	in.IsDevice = true
	if pod = podOf(in); claimOf(pod) != "clone" {
		t.Errorf("a device: %+v", pod.Volumes)
	}
	in.IsDevice = false
	aTarget(&in)
	if pod = podOf(in); claimOf(pod) != "new" || mountOf(pod, "data").ReadOnly {
		t.Errorf("a target: %+v", pod.Volumes)
	}
}

func aCache(in *JobInput) {
	in.Cache = &corev1.PersistentVolumeClaim{}
	in.Cache.Name = "cache-web"
}

func volumeOf(pod *corev1.PodSpec, name string) *corev1.Volume {
	for i := range pod.Volumes {
		if pod.Volumes[i].Name == name {
			return &pod.Volumes[i]
		}
	}
	return nil
}

func TestAsWhomAMoverRunsWhoseRepositorySaysIt(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*JobInput)
		user   int64
		group  int64
		groups []int64
	}{
		"a user":                {asked(&corev1.PodSecurityContext{RunAsUser: ptr.To[int64](999)}), 999, 65532, []int64{7}},
		"a group":               {asked(&corev1.PodSecurityContext{RunAsGroup: ptr.To[int64](998)}), 1000, 998, []int64{7, 65532}},
		"more groups":           {asked(&corev1.PodSecurityContext{SupplementalGroups: []int64{8, 9}}), 1000, 65532, []int64{7, 8, 9}},
		"of a repository alone": {func(in *JobInput) { noVolume(in); asked(&corev1.PodSecurityContext{RunAsUser: ptr.To[int64](999)})(in) }, 999, 65532, []int64{7}},
		"beside a privileged word": {func(in *JobInput) {
			asked(&corev1.PodSecurityContext{RunAsUser: ptr.To[int64](999)})(in)
			in.Privileged = true
		}, 0, 65532, []int64{7}},
	} {
		in := anInput()
		in.User, in.Groups = ptr.To[int64](1000), []int64{7}
		c.change(&in)
		s := podOf(in).SecurityContext
		if *s.RunAsUser != c.user || *s.RunAsGroup != c.group || !slices.Equal(s.SupplementalGroups, c.groups) || s.FSGroup != nil {
			t.Errorf("%s: %+v", name, s)
		}
		if !slices.Equal(in.Groups, []int64{7}) {
			t.Errorf("%s: it has changed what it was given: %v", name, in.Groups)
		}
	}
}

func asked(as *corev1.PodSecurityContext) func(*JobInput) {
	return func(in *JobInput) { in.Spec.Mover.SecurityContext = as }
}

func aTarget(in *JobInput)  { in.Source, in.Target = "", "new" }
func noVolume(in *JobInput) { in.Source = "" }
func intoAClaim(in *JobInput) {
	in.Spec = aSpec(v1alpha1.RepositoryBackend{Volume: &v1alpha1.VolumeBackend{ClaimName: "disk"}})
}

func TestTheVolumeOfAMover(t *testing.T) {
	in := anInput()
	pod := podOf(in)
	if m := mountOf(pod, "data"); m == nil || m.MountPath != "/data" || !m.ReadOnly || claimOf(pod) != "clone" {
		t.Errorf("a source: %+v", pod)
	}
	aTarget(&in)
	pod = podOf(in)
	if m := mountOf(pod, "data"); m == nil || m.ReadOnly || claimOf(pod) != "new" {
		t.Errorf("a target: %+v", pod)
	}
	in.IsDevice = true
	pod = podOf(in)
	if d := pod.Containers[0].VolumeDevices; len(d) != 1 || d[0].DevicePath != DevicePath || mountOf(pod, "data") != nil || claimOf(pod) != "new" {
		t.Errorf("a device: %+v", pod)
	}
	in.Target = ""
	if pod = podOf(in); claimOf(pod) != "" {
		t.Errorf("none: %+v", pod)
	}
}

func mountOf(pod *corev1.PodSpec, name string) *corev1.VolumeMount {
	for i, m := range pod.Containers[0].VolumeMounts {
		if m.Name == name {
			return &pod.Containers[0].VolumeMounts[i]
		}
	}
	return nil
}

func claimOf(pod *corev1.PodSpec) string {
	for _, v := range pod.Volumes {
		if v.Name == "data" {
			if v.PersistentVolumeClaim.ReadOnly {
				return "read-only"
			}
			return v.PersistentVolumeClaim.ClaimName
		}
	}
	return ""
}

func TestWhatAMoverIsLimitedTo(t *testing.T) {
	in := anInput()
	c := podOf(in).Containers[0]
	if c.Resources.Limits.Memory().String() != "1Gi" || c.Resources.Requests.Cpu().String() != "100m" || variable(&c, "GOMEMLIMIT") != "966367638" || variable(&c, "GOMAXPROCS") != "" {
		t.Errorf("by default: %+v %+v", c.Resources, c.Env)
	}
	in.Spec.Mover.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m")}
	c = podOf(in).Containers[0]
	if len(c.Resources.Requests) != 0 || variable(&c, "GOMEMLIMIT") != "" || variable(&c, "GOMAXPROCS") != "2" {
		t.Errorf("as it says: %+v %+v", c.Resources, c.Env)
	}
}

func variable(c *corev1.Container, name string) string {
	for _, e := range c.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

func TestAJobIsTriedOnceAndTellsItsTask(t *testing.T) {
	in := anInput()
	in.Deadline = time.Hour
	in.Spec.Mover.NodeSelector = map[string]string{"disk": "fast"}
	in.Spec.Mover.ServiceAccountName = "exporter"
	job := Job(in)
	pod := job.Spec.Template.Spec
	if *job.Spec.BackoffLimit != 0 || pod.RestartPolicy != corev1.RestartPolicyNever || *job.Spec.ActiveDeadlineSeconds != 3600 || job.Spec.TTLSecondsAfterFinished != nil {
		t.Errorf("%+v", job.Spec)
	}
	want := map[string]string{"lull.dev/backup": "b", "lull.dev/repository": "offsite", v1alpha1.LabelManagedBy: "lull"}
	for key, value := range want {
		if job.Labels[key] != value || job.Spec.Template.Labels[key] != value {
			t.Errorf("%s: %v %v", key, job.Labels, job.Spec.Template.Labels)
		}
	}
	if pod.ServiceAccountName != "exporter" || pod.NodeSelector["disk"] != "fast" || *pod.TerminationGracePeriodSeconds <= 60 {
		t.Errorf("%+v", pod)
	}
	if c := pod.Containers[0]; !slices.Equal(c.Args, []string{"--option=s3.region=eu-1", "--", `{"check":{}}`}) || variable(&c, "RESTIC_REPOSITORY") != "s3:https://s3.amazonaws.com/b" {
		t.Errorf("%q %+v", c.Args, c.Env)
	}
	if pod.Hostname != "" {
		t.Error("pods share a host name, which restic takes for one host")
	}
}

func TestNamesOfJobsFollowFromTheirParts(t *testing.T) {
	long := "a-backup-with-a-name-that-is-longer-than-any-name-of-a-job-can-be-and-more"
	a, b := JobName("export", long, "uid", "data"), JobName("export", long, "uid", "logs")
	if a == b || len(a) > 63 || a != JobName("export", long, "uid", "data") || JobName("check", long, "uid", "data") == a {
		t.Errorf("%s %s", a, b)
	}
}

func TestTheOldPasswordIsMountedWhereItIsExchanged(t *testing.T) {
	in := JobInput{Name: "rekey", Namespace: "shop", Repository: "offsite", Spec: &v1alpha1.ResticRepositorySpec{}, Task: Task{Rekey: &Rekey{}}}
	in.Spec.Backend.Volume = &v1alpha1.VolumeBackend{ClaimName: "disk"}
	in.Spec.PasswordSecretRef = v1alpha1.SecretKeyReference{Name: "new"}
	mounted := func() map[string]string {
		pod := Job(in).Spec.Template.Spec
		secrets, at := map[string]string{}, map[string]string{}
		for _, m := range pod.Containers[0].VolumeMounts {
			at[m.Name] = m.MountPath
		}
		for _, v := range pod.Volumes {
			if v.Secret != nil {
				secrets[at[v.Name]+"/"+v.Secret.Items[0].Path] = v.Secret.SecretName + " " + v.Secret.Items[0].Key
			}
		}
		return secrets
	}
	if all := mounted(); len(all) != 1 || all[PasswordFile] != "new password" {
		t.Errorf("without an exchange: %v", all)
	}
	in.OldPassword = &v1alpha1.SecretKeyReference{Name: "old", Key: "was"}
	if all := mounted(); len(all) != 2 || all[PasswordFile] != "new password" || all[OldPasswordFile] != "old was" {
		t.Errorf("with one: %v", all)
	}
}

package restore

import (
	"maps"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/workload"
)

// aMountCheck is before a pod is made for the claims a, and b of a block device.
// The application selects its pods by the label app.
func aMountCheck(change func(*State)) *corev1.Pod {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "mysql"}}
	d.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "mysql"}}
	d.Spec.Template = templateOf("data")
	d.Spec.Template.Labels = map[string]string{"app": "mysql", "team": "shop", "role": "primary", "sidecar.istio.io/inject": "true", "app.kubernetes.io/instance": "shop"}
	d.Spec.Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	d.Spec.Template.Spec.PriorityClassName = "high"
	d.Spec.Template.Spec.Tolerations = []corev1.Toleration{{Key: "shop"}}
	s := &State{Restore: &v1alpha1.VolumeRestore{}, Image: "image", Resources: MountCheckResources()}
	s.Workload = workload.Of(d, nil)
	if change != nil {
		change(s)
	}
	return s.mountCheckPod("p", []v1alpha1.RestoredClaim{{RestoredClaim: "a"}, {RestoredClaim: "b", Shape: v1alpha1.ClaimShape{VolumeMode: ptr.To(corev1.PersistentVolumeBlock)}}}, "node-1")
}

func TestMountCheckPodRunsWhereTheApplicationCan(t *testing.T) {
	away := func(app string) corev1.PodAffinityTerm {
		return corev1.PodAffinityTerm{TopologyKey: "h", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}}
	}
	var w *workload.Workload
	p := aMountCheck(func(s *State) {
		w = s.Workload
		w.Template.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{away("mysql"), away("noisy")},
		}}
	})
	terms := p.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if p.Spec.NodeSelector["disk"] != "ssd" || len(terms) != 1 || terms[0].LabelSelector.MatchLabels["app"] != "noisy" {
		t.Errorf("as the application, but beside its own pods: got %+v", p.Spec)
	}
	if c := p.Spec.Containers[0]; len(c.VolumeMounts) != 1 || len(c.VolumeDevices) != 1 || *p.Spec.AutomountServiceAccountToken {
		t.Errorf("got %+v", c)
	}
	if len(w.Template.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) != 2 || w.Template.Labels["app"] != "mysql" {
		t.Error("the template is only read")
	}
}

func TestMountCheckPodIsAdmittedAsTheApplicationIs(t *testing.T) {
	p := aMountCheck(func(s *State) {
		s.Workload.Template.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](1234), SELinuxOptions: &corev1.SELinuxOptions{Level: "s0:c1"}}
	})
	if p.Spec.PriorityClassName != "high" || len(p.Spec.Tolerations) != 1 || *p.Spec.SecurityContext.RunAsUser != 1234 || p.Spec.SecurityContext.SELinuxOptions.Level != "s0:c1" {
		t.Errorf("got %+v", p.Spec)
	}
	p = aMountCheck(func(s *State) {
		s.Workload.Template.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](0)}
	})
	if p.Spec.SecurityContext.RunAsUser != nil || !*p.Spec.SecurityContext.RunAsNonRoot {
		t.Errorf("never as root: got %+v", p.Spec.SecurityContext)
	}
	p = aMountCheck(func(s *State) { s.Workload, s.Model = nil, s.Workload })
	if p.Labels["team"] != "shop" || len(p.Spec.Tolerations) != 1 || len(p.Spec.NodeSelector) != 0 {
		t.Errorf("claims alone may be for another application, on other nodes: got %+v", p)
	}
	if p = aMountCheck(func(s *State) { s.Workload = nil }); len(p.Labels) != 3 {
		t.Errorf("no application: got %v", p.Labels)
	}
}

func TestNothingSelectsAMountCheckPod(t *testing.T) {
	service := func(selector map[string]string) corev1.Service {
		return corev1.Service{Spec: corev1.ServiceSpec{Selector: selector}}
	}
	p := aMountCheck(func(s *State) {
		s.Rules.Services = []corev1.Service{service(map[string]string{"role": "primary"}), service(map[string]string{"team": "other"}), service(nil)}
	})
	want := map[string]string{"app": notSelected, "role": notSelected, "team": "shop"}
	got := maps.Clone(p.Labels)
	for _, own := range []string{v1alpha1.LabelRestore, v1alpha1.LabelRestoreUID, v1alpha1.LabelManagedBy} {
		delete(got, own)
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(p.Spec.ReadinessGates) != 1 {
		t.Error("it is never ready, whoever selects it")
	}
}

// limitsOf is a LimitRange of one item: bounds as memory=64Mi.
func limitsOf(kind corev1.LimitType, least, most, ratio string) corev1.LimitRange {
	list := func(text string) corev1.ResourceList {
		all := corev1.ResourceList{}
		for _, part := range strings.Fields(text) {
			name, amount, _ := strings.Cut(part, "=")
			all[corev1.ResourceName(name)] = resource.MustParse(amount)
		}
		return all
	}
	l := corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Name: "team"}}
	l.Spec.Limits = []corev1.LimitRangeItem{{Type: kind, Min: list(least), Max: list(most), MaxLimitRequestRatio: list(ratio)}}
	return l
}

func TestResourcesFitTheNamespace(t *testing.T) {
	const container, pod = corev1.LimitTypeContainer, corev1.LimitTypePod
	for name, c := range map[string]struct {
		ranges []corev1.LimitRange
		want   string
	}{
		"no rule":              {nil, "cpu 10m to 500m, memory 32Mi to 128Mi"},
		"at least":             {[]corev1.LimitRange{limitsOf(container, "cpu=50m memory=64Mi", "", "")}, "cpu 50m to 500m, memory 64Mi to 128Mi"},
		"at least, much":       {[]corev1.LimitRange{limitsOf(container, "cpu=1 memory=1Gi", "", "")}, "cpu 1 to 1, memory 1Gi to 1Gi"},
		"at most":              {[]corev1.LimitRange{limitsOf(container, "", "cpu=100m memory=64Mi", "")}, "cpu 10m to 100m, memory 32Mi to 64Mi"},
		"at most, little":      {[]corev1.LimitRange{limitsOf(pod, "", "cpu=5m memory=16Mi", "")}, "cpu 5m to 5m, memory 16Mi to 16Mi"},
		"a ratio":              {[]corev1.LimitRange{limitsOf(container, "", "", "cpu=4 memory=1.5")}, "cpu 125m to 500m, memory 89478486 to 128Mi"},
		"all of it":            {[]corev1.LimitRange{limitsOf(container, "cpu=50m memory=64Mi", "", "cpu=4 memory=2")}, "cpu 125m to 500m, memory 64Mi to 128Mi"},
		"two ranges":           {[]corev1.LimitRange{limitsOf(container, "cpu=50m", "cpu=1", ""), limitsOf(pod, "cpu=20m", "cpu=200m", "cpu=1")}, "cpu 200m to 200m, memory 32Mi to 128Mi"},
		"of claims":            {[]corev1.LimitRange{limitsOf(corev1.LimitTypePersistentVolumeClaim, "storage=1Gi", "", "")}, "cpu 10m to 500m, memory 32Mi to 128Mi"},
		"another resource":     {[]corev1.LimitRange{limitsOf(container, "ephemeral-storage=10Mi", "", "")}, "cpu 10m to 500m, ephemeral-storage 10Mi to 10Mi, memory 32Mi to 128Mi"},
		"one that isn't asked": {[]corev1.LimitRange{limitsOf(container, "", "example.com/gpu=2", "")}, "cpu 10m to 500m, example.com/gpu 0 to 0, memory 32Mi to 128Mi"},
	} {
		s := &State{Resources: MountCheckResources()}
		s.Rules.Limits = c.ranges
		mend := s.mountCheckMend()
		if !strings.Contains(mend, ". It asks for "+c.want+": what the manager's --mount-check-resources says") {
			t.Errorf("%s: got %q, want %q", name, mend, c.want)
		}
		if names := strings.Contains(mend, "LimitRange team"); names != (len(c.ranges) > 0 && name != "of claims") {
			t.Errorf("%s: names the ranges: %t", name, names)
		}
	}
}

func TestParseResources(t *testing.T) {
	for text, want := range map[string]string{
		"cpu=20m":                     "cpu 20m to 500m, memory 32Mi to 128Mi",
		"cpu=1, memory=16Mi":          "cpu 1 to 1, memory 16Mi to 128Mi",
		"limits.cpu=50m":              "cpu 10m to 50m, memory 32Mi to 128Mi",
		"ephemeral-storage=1Mi":       "cpu 10m to 500m, ephemeral-storage 1Mi to 1Mi, memory 32Mi to 128Mi",
		"":                            "write names and amounts",
		"cpu":                         "write names and amounts",
		"cpu=many":                    `"cpu=many": write names and amounts, such as cpu=10m,memory=32Mi`,
		"gpu=1":                       `"gpu=1"`,
		"cpu=-1":                      `"cpu=-1"`,
		"limits.memory=16Mi":          "limits.memory=16Mi is less than memory=32Mi",
		"cpu=10m,limits.cpu=5m":       "limits.cpu=5m is less than cpu=10m",
		"requests.cpu=10m,memory=1Mi": `"requests.cpu=10m"`,
	} {
		parsed, err := ParseResources(text, MountCheckResources())
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = (&State{Resources: parsed}).mountCheckMend()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if base := MountCheckResources(); base.Requests.Cpu().String() != "10m" {
		t.Error("what it is read over stays as it is")
	}
}

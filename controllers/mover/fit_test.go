package mover

import (
	"context"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

func TestAMoverFitsItsNamespaceAndCarriesWhatTheApplicationDoes(t *testing.T) {
	app := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db", UID: "db"}}
	app.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}
	app.Spec.Template.Labels = map[string]string{"app": "db", "team": "shop", "role": "primary", "app.kubernetes.io/managed-by": "Helm"}
	app.Spec.Template.Spec.PriorityClassName = "high"
	app.Spec.Template.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"role": "primary"}}}
	limits := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "small"}}
	limits.Spec.Limits = []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Max: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")}}}
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "team"}}
	quota.Spec.Hard = corev1.ResourceList{"limits.cpu": resource.MustParse("1"), "requests.ephemeral-storage": resource.MustParse("1Gi"), "pods": resource.MustParse("9")}
	m := moversOn(t, app, service, limits, quota)

	job, err := m.fitted(context.Background(), resticexport.JobInput{
		Name: "fill-data", Namespace: "shop", Labels: map[string]string{v1alpha1.LabelRestoreUID: "r"}, Spec: &v1alpha1.ResticRepositorySpec{},
		Application: v1alpha1.ApplicationReference{Kind: v1alpha1.KindDeployment, Name: "db"}, Task: resticexport.Task{Open: &resticexport.Open{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	pod := job.Spec.Template
	for key, want := range map[string]string{"team": "shop", "app": notSelected, "role": notSelected, v1alpha1.LabelRestoreUID: "r", v1alpha1.LabelManagedBy: v1alpha1.ManagedBy} {
		if pod.Labels[key] != want {
			t.Errorf("label %s is %q, not %q", key, pod.Labels[key], want)
		}
	}
	asks := pod.Spec.Containers[0].Resources
	for what, got := range map[string]struct{ is, want string }{
		"memory limit":              {asks.Limits.Memory().String(), "512Mi"},
		"CPU limit":                 {asks.Limits.Cpu().String(), "1"},
		"request of ephemeral disk": {asks.Requests.StorageEphemeral().String(), "64Mi"},
	} {
		if got.is != got.want {
			t.Errorf("%s: %s, not %s", what, got.is, got.want)
		}
	}
	if pod.Spec.PriorityClassName != "high" || len(pod.Spec.ImagePullSecrets) != 1 {
		t.Errorf("%+v", pod.Spec)
	}
	memory := ""
	for _, variable := range pod.Spec.Containers[0].Env {
		if variable.Name == resticexport.EnvMemoryLimit {
			memory = variable.Value
		}
	}
	if memory != "483183819" { // nine tenths
		t.Errorf("Go is told of %q bytes", memory)
	}
}

func TestACloneCarriesWhatItsClaimDoes(t *testing.T) {
	clone := aClone("clone", ours)
	clone.Labels, clone.Annotations = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}, map[string]string{v1alpha1.AnnotationBackup: "false"}
	like(clone, map[string]string{"team": "shop", v1alpha1.LabelGroup: "g", "argocd.argoproj.io/instance": "shop"},
		map[string]string{"owner": "me", "k8up.io/backup": "true", v1alpha1.AnnotationBackup: "true", "pv.kubernetes.io/bind-completed": "yes"})
	if len(clone.Labels) != 2 || clone.Labels["team"] != "shop" {
		t.Errorf("labels: %v", clone.Labels)
	}
	if a := clone.Annotations; len(a) != 3 || a["owner"] != "me" || a["k8up.io/backup"] != "false" || a[v1alpha1.AnnotationBackup] != "false" {
		t.Errorf("annotations: %v", a)
	}
	bare := aClone("clone", ours)
	if like(bare, nil, nil); len(bare.Labels)+len(bare.Annotations) != 0 {
		t.Errorf("of nothing: %+v", bare)
	}
}

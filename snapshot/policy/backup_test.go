package policy

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Whoever may annotate claims and pods may not run commands by that.
func TestAnnotationsOfPodsCountWhereThePolicysWriterMayExec(t *testing.T) {
	selects := v1alpha1.PolicyApplications{ClaimSelector: &metav1.LabelSelector{}}
	names := v1alpha1.PolicyApplications{Refs: []v1alpha1.ApplicationReference{{Kind: v1alpha1.KindPod, Name: "lone"}}}
	workloads := v1alpha1.PolicyApplications{Selector: &metav1.LabelSelector{}, Refs: []v1alpha1.ApplicationReference{{Name: "db"}}}
	for name, c := range map[string]struct {
		who  v1alpha1.PolicyApplications
		of   v1alpha1.ApplicationKind
		want v1alpha1.PodAnnotations
	}{
		"a claim that joins":               {v1alpha1.PolicyApplications{}, v1alpha1.KindPersistentVolumeClaim, v1alpha1.PodAnnotationsIgnore},
		"a claim that joins workloads":     {workloads, v1alpha1.KindPersistentVolumeClaim, v1alpha1.PodAnnotationsIgnore},
		"a workload":                       {workloads, v1alpha1.KindDeployment, ""},
		"a claim that is selected":         {selects, v1alpha1.KindPersistentVolumeClaim, ""},
		"a claim of a policy of pods":      {names, v1alpha1.KindPersistentVolumeClaim, ""},
		"a pod that is named":              {names, v1alpha1.KindPod, ""},
		"a workload of a policy of claims": {selects, v1alpha1.KindStatefulSet, ""},
	} {
		spec := &v1alpha1.SnapshotPolicySpec{Applications: c.who}
		b := NewBackup(&Policy{Namespace: "shop", Name: "nightly", Spec: spec}, app(c.of, "x"), "x", nil)
		got := v1alpha1.PodAnnotations("")
		if b.Spec.Quiesce != nil {
			got = b.Spec.Quiesce.PodAnnotations
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
		if spec.Template.Spec.Quiesce != nil {
			t.Errorf("%s: the policy itself was changed", name)
		}
	}
}

package repository

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

func TestWhenAPasswordIsExchanged(t *testing.T) {
	wrong := string(resticexport.CauseWrongPassword)
	for name, c := range map[string]struct {
		change func(*v1alpha1.ResticRepository)
		is     bool
	}{
		"another Secret, which doesn't open it": {func(*v1alpha1.ResticRepository) {}, true},
		"the same Secret, which was changed":    {func(r *v1alpha1.ResticRepository) { r.Status.PasswordSecretRef.Name = "new" }, false},
		"never opened":                          {func(r *v1alpha1.ResticRepository) { r.Status.PasswordSecretRef = nil }, false},
		"not tried yet":                         {func(r *v1alpha1.ResticRepository) { r.Generation++ }, false},
		"not reached": {func(r *v1alpha1.ResticRepository) {
			r.Status.Conditions[0].Reason = string(resticexport.CauseUnreachable)
		}, false},
		"tried in vain since the last look": {func(r *v1alpha1.ResticRepository) {
			r.Status.Conditions[0].Reason = v1alpha1.ReasonRekeyFailed
		}, false},
		"no look yet": {func(r *v1alpha1.ResticRepository) { r.Status.Conditions = nil }, false},
	} {
		r := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Generation: 2}}
		r.Spec.PasswordSecretRef = v1alpha1.SecretKeyReference{Name: "new", Key: "password"}
		r.Status.PasswordSecretRef = &v1alpha1.SecretKeyReference{Name: "old", Key: "password"}
		r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: wrong, ObservedGeneration: 2}}
		if c.change(r); isToBeRekeyed(r) != c.is {
			t.Errorf("%s: %t", name, !c.is)
		}
	}
}

package repository

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
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
		"another Secret, which opens it": {func(r *v1alpha1.ResticRepository) {
			r.Status.Conditions[0].Status, r.Status.Conditions[0].Reason = metav1.ConditionTrue, v1alpha1.ReasonOpened
		}, true},
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

// A mover that adds the new password and dies leaves a repository that both open.
func TestAnExchangeThatWasCutOffGoesOn(t *testing.T) {
	p := aPlace(t)
	p.change("second", func(r *v1alpha1.ResticRepository) {
		r.Generation, r.Spec.PasswordSecretRef.Name = 2, "new"
		r.Status.PasswordSecretRef = &v1alpha1.SecretKeyReference{Name: "old"}
		r.Status.Conditions = nil
		ready(r, metav1.ConditionFalse, string(resticexport.CauseWrongPassword))
		r.Status.Conditions[0].ObservedGeneration = 2
	})
	p.reconcile("second")
	p.ends("rekey", resticexport.Result{Cause: resticexport.CauseInterrupted, Message: "the mover was killed"})
	p.says(p.reconcile("second"), "False PasswordNotExchanged")
	p.clock.Step(time.Minute)
	p.reconcile("second")
	p.ends("open", resticexport.Result{Done: true, Repository: &resticexport.OpenedRepository{ID: "restic's second"}})
	if r := p.reconcile("second"); r.Status.PasswordSecretRef.Name != "old" {
		t.Errorf("the password of Secret %s is thought to be the only one", r.Status.PasswordSecretRef.Name)
	}
	p.ends("rekey", resticexport.Result{Cause: resticexport.CauseAccessDenied, Message: "append-only"})
	r := p.reconcile("second")
	p.says(r, "True PasswordNotExchanged")
	if !strings.Contains(r.Status.Message, "append-only") || len(p.jobs("rekey")) != 0 {
		t.Errorf("%q, %d Jobs", r.Status.Message, len(p.jobs("rekey")))
	}
	p.clock.Step(time.Hour)
	p.reconcile("second")
	p.ends("open", resticexport.Result{Done: true, Repository: &resticexport.OpenedRepository{ID: "restic's second"}})
	p.reconcile("second")
	p.ends("rekey", resticexport.Result{Done: true})
	if r := p.reconcile("second"); r.Status.PasswordSecretRef.Name != "new" {
		t.Errorf("%+v", r.Status.PasswordSecretRef)
	}
}

func (p *place) says(r *v1alpha1.ResticRepository, want string) {
	p.t.Helper()
	c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionReady)
	if got := string(c.Status) + " " + c.Reason; got != want {
		p.t.Errorf("Ready is %q, not %q: %s", got, want, c.Message)
	}
}

package repository

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// After a mass deletion the backups are gone that said what stays.
func TestNothingIsForgottenAfterAMassDeletion(t *testing.T) {
	p := aPlace(t)
	policy := &v1alpha1.SnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "nightly"}}
	policy.Spec.Template.Spec.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: "second"}}
	policy.Spec.Retention.Exports = &v1alpha1.RetentionRules{KeepLast: 1}
	policy.Status.MassDeletion = &v1alpha1.MassDeletionStatus{Since: metav1.NewTime(noon), Count: 20}
	p.must(p.Create(t.Context(), policy))
	backup := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "late", UID: "late", Labels: map[string]string{v1alpha1.LabelPolicy: "nightly"}}}
	backup.Spec.Export = policy.Spec.Template.Spec.Export
	now := metav1.NewTime(noon)
	backup.Status.CompletionTime = &now
	backup.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
	p.must(p.Create(t.Context(), backup))
	if p.reconcile("second"); len(p.jobs("retain")) != 0 {
		t.Error("it is forgotten all the same")
	}
	policy.Status.MassDeletion = nil
	p.must(p.Update(t.Context(), policy))
	if p.reconcile("second"); len(p.jobs("retain")) != 1 {
		t.Error("nothing is forgotten once a person has said so")
	}
}

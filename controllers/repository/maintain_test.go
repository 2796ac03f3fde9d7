package repository

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
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
	p.change("second", func(r *v1alpha1.ResticRepository) { r.Status.ExpectedSnapshots = ptr.To[int32](10) })
	r := p.reconcile("second")
	if len(p.jobs("retain")) != 1 {
		t.Error("nothing is forgotten once a person has said so")
	}
	if r.Status.ExpectedSnapshots != nil {
		t.Errorf("%d are expected, where a manager that dies won't see how many were forgotten", *r.Status.ExpectedSnapshots)
	}
}

func TestAPruneThatMissesSnapshotsHasThemLookedFor(t *testing.T) {
	p := aPlace(t)
	p.change("second", func(r *v1alpha1.ResticRepository) {
		r.Status.Snapshots, r.Status.ExpectedSnapshots = 10, ptr.To[int32](10)
		r.Spec.Maintenance.Prune = &v1alpha1.PruneMaintenance{Schedule: "30 12 * * *"}
	})
	p.clock.Step(31 * time.Minute)
	p.reconcile("second")
	if args := p.theJob("prune").Spec.Template.Spec.Containers[0].Args; !strings.Contains(args[len(args)-1], `{"expected":10}`) {
		t.Errorf("%q", args)
	}
	p.ends("prune", resticexport.Result{Cause: resticexport.CauseVanished, Message: "10 snapshots were there"})
	p.reconcile("second")
	p.ends("open", resticexport.Result{Done: true, Repository: &resticexport.OpenedRepository{ID: "restic's second", Snapshots: 4}})
	if r := p.reconcile("second"); r.Status.Vanished == nil || r.Status.Vanished.Before != 10 || len(p.jobs("prune")) != 0 {
		t.Errorf("%+v, %d prune it", r.Status.Vanished, len(p.jobs("prune")))
	}
}

// A check takes hours, and retention is due under way.
func TestWhatATaskCameToIsReadAfterAnother(t *testing.T) {
	p := aPlace(t)
	p.change("second", func(r *v1alpha1.ResticRepository) {
		r.Spec.Maintenance.Check = &v1alpha1.CheckMaintenance{Schedule: "30 12 * * *"}
	})
	p.clock.Step(31 * time.Minute)
	p.reconcile("second")
	check := p.theJob("check").Name
	p.exported(p.exports("nightly"), "a", "a")
	p.change("second", func(r *v1alpha1.ResticRepository) { p.opened(r, "h2") })
	if p.reconcile("second"); len(p.jobs("retain")) != 0 {
		t.Fatal("it forgets while it is checked")
	}
	p.ends("check", resticexport.Result{Cause: resticexport.CauseUnreachable, Message: "connection refused"})
	p.reconcile("second")
	p.clock.Step(time.Minute)
	p.ends("retain", retainedAll(p.retains()))
	r := p.reconcile("second")
	if !strings.Contains(r.Status.Message, "check: Unreachable: connection refused") || r.Status.LastRetentionTime == nil {
		t.Errorf("%q, %+v", r.Status.Message, r.Status)
	}
	p.clock.Step(time.Minute)
	if p.reconcile("second"); p.theJob("check").Name == check {
		t.Error("the next try has the Job of this one")
	}
}

package repository

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// exports makes a policy that keeps one export of each application.
func (p *place) exports(policy string) *v1alpha1.SnapshotPolicy {
	p.t.Helper()
	made := &v1alpha1.SnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: policy}}
	made.Spec.Template.Spec.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: "second"}}
	made.Spec.Retention.Exports = &v1alpha1.RetentionRules{KeepLast: 1}
	p.must(p.Create(p.t.Context(), made))
	return made
}

// exported makes a backup by that policy, which is complete now.
func (p *place) exported(by *v1alpha1.SnapshotPolicy, app, name string, change ...func(*v1alpha1.VolumeBackup)) {
	p.t.Helper()
	b := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Labels: map[string]string{v1alpha1.LabelPolicy: by.Name}}}
	b.Spec.ApplicationRef.Name, b.Spec.Export = app, by.Spec.Template.Spec.Export
	b.Status.CompletionTime = ptr.To(metav1.NewTime(p.clock.Now()))
	b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
	for _, c := range change {
		c(b)
	}
	p.must(p.Create(p.t.Context(), b))
}

// retains is what the mover is given that forgets.
func (p *place) retains() *resticexport.Retain {
	p.t.Helper()
	args := p.theJob("retain").Spec.Template.Spec.Containers[0].Args
	task, err := resticexport.ParseTask(args[len(args)-1])
	p.must(err)
	return task.Retain
}

// retainedAll is what a mover says that has dealt with all of that.
func retainedAll(task *resticexport.Retain) resticexport.Result {
	n := len(task.Histories)
	return resticexport.Result{Done: true, Forget: &resticexport.ForgottenSnapshots{Histories: n, Through: task.Histories[n-1].Key()}}
}

func TestRetentionGoesThroughThousandsOfApplications(t *testing.T) {
	p := aPlace(t)
	nightly := p.exports("nightly")
	const apps = 1100
	for i := range apps {
		p.exported(nightly, fmt.Sprintf("web-%04d", i), fmt.Sprintf("b-%04d", i))
	}
	var dealtWith []string
	var tasks int
	for r := p.reconcile("second"); len(p.jobs("retain")) > 0; r = p.reconcile("second") {
		task := p.retains()
		if want := fmt.Sprintf("retain of %d to %d of %d histories: its pod starts", len(dealtWith)+1, len(dealtWith)+len(task.Histories), apps); !strings.Contains(reconciling(r), want) {
			t.Errorf("it says %q, not %q", reconciling(r), want)
		}
		if r.Status.LastRetentionTime != nil {
			t.Errorf("retention is said to be done after %d", len(dealtWith))
		}
		for _, h := range task.Histories {
			dealtWith = append(dealtWith, h.Host)
		}
		p.clock.Step(time.Minute)
		if tasks++; tasks == 2 { // what is dealt with already is exported again, under way
			p.exported(nightly, "web-0000", "late")
		}
		p.ends("retain", retainedAll(task))
	}
	if tasks != 3 || len(dealtWith) != apps || len(slices.Compact(dealtWith)) != apps {
		t.Errorf("%d tasks dealt with %d", tasks, len(dealtWith))
	}
	r := p.now("second")
	if at := r.Status.LastRetentionTime; at == nil || !at.Time.Equal(noon.Add(time.Minute)) || r.Status.Retention != nil {
		t.Errorf("it is said to be done at %s, %+v", at, r.Status.Retention)
	}
	p.clock.Step(time.Hour)
	p.change("second", func(r *v1alpha1.ResticRepository) { p.opened(r, "h2") })
	p.reconcile("second")
	if task := p.retains(); len(task.Histories) != 1 || task.Histories[0].Host != "shop/web-0000" {
		t.Errorf("then comes %+v", task.Histories)
	}
}

func reconciling(r *v1alpha1.ResticRepository) string {
	for _, c := range r.Status.Conditions {
		if c.Type == v1alpha1.ConditionReconciling {
			return c.Message
		}
	}
	return ""
}

// The task is what there is to do now, and a mover was given what there was.
func TestRetentionIsAsFarAsItsMoverSays(t *testing.T) {
	p := aPlace(t)
	nightly := p.exports("nightly")
	p.exported(nightly, "a", "a")
	p.reconcile("second")
	p.exported(nightly, "b", "b")
	p.ends("retain", retainedAll(p.retains()))
	p.reconcile("second")
	if task := p.retains(); len(task.Histories) != 1 || task.Histories[0].Host != "shop/b" {
		t.Errorf("then comes %+v", task.Histories)
	}
}

// One that can't be asked for keeps nobody else's exports.
func TestRetentionPassesOverWhatNoMoverCanBeToldOf(t *testing.T) {
	p := aPlace(t)
	nightly := p.exports("nightly")
	keep := func(b *v1alpha1.VolumeBackup) { b.Annotations = map[string]string{v1alpha1.AnnotationKeep: "true"} }
	for i := range 2600 {
		p.exported(nightly, "a", fmt.Sprintf("%08d-0000-4000-8000-000000000000", i), keep)
	}
	p.exported(nightly, "b", "b")
	p.reconcile("second")
	task := p.retains()
	if len(task.Histories) != 1 || task.Histories[0].Host != "shop/b" {
		t.Fatalf("%+v", task.Histories)
	}
	p.ends("retain", retainedAll(task))
	r := p.reconcile("second")
	if r.Status.LastRetentionTime == nil || r.Status.Retention != nil || !strings.Contains(r.Status.Message, "retain: Invalid: 2600 backups of shop/a by policy nightly stay") {
		t.Errorf("%q, %+v", r.Status.Message, r.Status)
	}
}

// On a server that only appends every task would be refused.
func TestRetentionEndsWhereItIsRefused(t *testing.T) {
	p := aPlace(t)
	nightly := p.exports("nightly")
	for i := range 600 {
		p.exported(nightly, fmt.Sprintf("web-%04d", i), fmt.Sprintf("b-%04d", i))
	}
	p.reconcile("second")
	refused := retainedAll(p.retains())
	refused.Done, refused.Cause, refused.Message = false, resticexport.CauseAccessDenied, "403 Forbidden"
	p.ends("retain", refused)
	if r := p.reconcile("second"); len(p.jobs("retain")) != 0 || r.Status.LastRetentionTime == nil || r.Status.Retention != nil || !strings.Contains(r.Status.Message, "403 Forbidden") {
		t.Errorf("%d Jobs, %+v", len(p.jobs("retain")), r.Status)
	}
}

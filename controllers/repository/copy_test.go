package repository

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// place is a fake API server with two repositories, the first of which is copied to
// the second.
type place struct {
	client.Client
	t     *testing.T
	clock *clocktesting.FakeClock
	told  *events.FakeRecorder
}

func aPlace(t *testing.T) *place {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, batchv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	p := &place{t: t, clock: clocktesting.NewFakeClock(noon), told: events.NewFakeRecorder(100)}
	p.Client = fake.NewClientBuilder().WithScheme(scheme).
		WithStatusSubresource(&v1alpha1.ResticRepository{}, &batchv1.Job{}, &corev1.Pod{}).
		WithIndex(&corev1.Event{}, "involvedObject.name", func(client.Object) []string { return nil }).
		WithIndex(&corev1.Event{}, "type", func(client.Object) []string { return nil }).
		WithObjects(p.repository("first", "second"), p.repository("second")).Build()
	return p
}

func (p *place) repository(name string, copyTo ...string) *v1alpha1.ResticRepository {
	r := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(noon)}}
	r.Spec.Backend.Volume = &v1alpha1.VolumeBackend{ClaimName: name}
	r.Spec.PasswordSecretRef.Name = name
	for _, to := range copyTo {
		r.Spec.CopyTo = append(r.Spec.CopyTo, v1alpha1.RepositoryCopy{RepositoryRef: v1alpha1.RepositoryReference{Name: to}})
	}
	p.opened(r, "h1")
	return r
}

// opened has a look have seen exports in a repository just now.
func (p *place) opened(r *v1alpha1.ResticRepository, exports string) {
	now := metav1.NewTime(p.clock.Now())
	r.Status.RepositoryID, r.Status.LastLookTime = "restic's "+r.Name, &now
	r.Status.Contents = &v1alpha1.RepositoryContents{ExportsHash: exports}
	ready(r, metav1.ConditionTrue, v1alpha1.ReasonOpened)
}

func ready(r *v1alpha1.ResticRepository, is metav1.ConditionStatus, reason string) {
	meta.SetStatusCondition(&r.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: is, Reason: reason})
}

// change writes what somebody else has changed.
func (p *place) change(name string, change func(*v1alpha1.ResticRepository)) {
	p.t.Helper()
	r := p.now(name)
	change(r)
	p.must(p.Update(p.t.Context(), r.DeepCopy()))
	changed := p.now(name)
	changed.Status = r.Status
	p.must(p.Status().Update(p.t.Context(), changed))
}

func (p *place) now(name string) *v1alpha1.ResticRepository {
	p.t.Helper()
	var r v1alpha1.ResticRepository
	p.must(p.Get(p.t.Context(), client.ObjectKey{Namespace: "shop", Name: name}, &r))
	return &r
}

func (p *place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// reconcile is done by a manager that has just started.
func (p *place) reconcile(name string) *v1alpha1.ResticRepository {
	p.t.Helper()
	r := &Reconciler{Client: p, Live: p, Movers: &mover.Movers{Writes: p, Live: p}, Events: p.told, Clock: p.clock}
	_, err := r.loop().Reconcile(p.t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}})
	p.must(err)
	return p.now(name)
}

// jobs are the Jobs of a kind, of which each has a name that begins so.
func (p *place) jobs(kind string) []batchv1.Job {
	p.t.Helper()
	var all batchv1.JobList
	p.must(p.List(p.t.Context(), &all))
	return slices.DeleteFunc(all.Items, func(j batchv1.Job) bool { return !strings.HasPrefix(j.Name, kind) })
}

func (p *place) theJob(kind string) *batchv1.Job {
	p.t.Helper()
	all := p.jobs(kind)
	if len(all) != 1 {
		p.t.Fatalf("there are %d Jobs of %s", len(all), kind)
	}
	return &all[0]
}

// ends has the only Job of a kind come to its end.
func (p *place) ends(kind string, result resticexport.Result) {
	p.t.Helper()
	p.end(p.theJob(kind), result)
}

func (p *place) end(job *batchv1.Job, result resticexport.Result) {
	p.t.Helper()
	job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	p.must(p.Status().Update(p.t.Context(), job))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: job.Name, Labels: map[string]string{batchv1.JobNameLabel: job.Name}}}
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: resticexport.Container, State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{Message: string(result.Encode())},
	}}}
	p.must(p.Create(p.t.Context(), pod))
}

func copiedOf(r *v1alpha1.ResticRepository) string {
	c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionCopied)
	if c == nil {
		return ""
	}
	return string(c.Status) + " " + c.Reason + " " + c.Message
}

func (p *place) isCopied(r *v1alpha1.ResticRepository, says string) {
	p.t.Helper()
	if got := copiedOf(r); !strings.HasPrefix(got, says) {
		p.t.Errorf("Copied is %q, not %q", got, says)
	}
	if !meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionReady) {
		p.t.Errorf("it isn't ready for exports: %+v", r.Status.Conditions)
	}
}

func copiedAll(hash string) resticexport.Result {
	return resticexport.Result{Done: true, Copy: &resticexport.CopiedSnapshots{Copied: 2, Snapshots: 3, ExportsHash: hash}}
}

func TestExportsAreCopied(t *testing.T) {
	p := aPlace(t)
	p.change("first", func(r *v1alpha1.ResticRepository) { r.Labels = map[string]string{"team": "shop"} })
	p.isCopied(p.reconcile("first"), "False Copying to second: its pod starts")
	p.reconcile("first")
	job := p.theJob("copy-to")
	if by := metav1.GetControllerOf(job); by == nil || by.Name != "first" || job.Labels[v1alpha1.LabelRepository] != "second" || job.Labels[v1alpha1.LabelFromRepository] != "first" || job.Labels["team"] != "shop" {
		t.Errorf("%+v", job.ObjectMeta)
	}
	if p.reconcile("second"); len(p.jobs("copy-to")) != 1 {
		t.Error("the second is copied too")
	}

	p.ends("copy-to", copiedAll("h1"))
	first := p.reconcile("first")
	p.isCopied(first, "True Copied")
	if c := first.Status.Copies; len(c) != 1 || c[0].Name != "second" || c[0].Snapshots != 3 || !c[0].CopiedAt.Time.Equal(noon) {
		t.Errorf("%+v", c)
	}
	if p.reconcile("first"); len(p.jobs("")) != 0 {
		t.Errorf("there is nothing to copy: %v", p.jobs(""))
	}

	p.clock.SetTime(noon.Add(time.Hour))
	p.change("first", func(r *v1alpha1.ResticRepository) { p.opened(r, "h2") })
	p.change("second", func(r *v1alpha1.ResticRepository) { ready(r, metav1.ConditionFalse, "Unreachable") })
	p.isCopied(p.reconcile("first"), "False CopyWaiting to second: repository second isn't ready: Unreachable")
	p.change("second", func(r *v1alpha1.ResticRepository) { ready(r, metav1.ConditionTrue, v1alpha1.ReasonOpened) })
	p.reconcile("first")
	p.ends("copy-to", resticexport.Result{Cause: resticexport.CauseUnreachable, Message: "connection refused"})
	p.isCopied(p.reconcile("first"), "False CopyFailed to second: Unreachable: connection refused")
	if is := testutil.ToFloat64(repositoryCopied.WithLabelValues("shop")); is != 0 {
		t.Errorf("the metric says %v", is)
	}
	p.clock.Step(10 * time.Second)
	p.reconcile("first")
	p.ends("copy-to", copiedAll("h2"))
	p.isCopied(p.reconcile("first"), "True Copied")

	p.change("first", func(r *v1alpha1.ResticRepository) { r.Spec.CopyTo = nil })
	if r := p.reconcile("first"); copiedOf(r) != "" || len(r.Status.Copies) != 0 {
		t.Errorf("%q %+v", copiedOf(r), r.Status.Copies)
	}
}

func TestACopyIsNeverBesideExclusiveWork(t *testing.T) {
	for _, maintained := range []string{"first", "second"} {
		p := aPlace(t)
		p.reconcile("first")
		p.change(maintained, func(r *v1alpha1.ResticRepository) {
			r.Spec.Maintenance.Prune = &v1alpha1.PruneMaintenance{Schedule: "@every 1m"}
		})
		p.clock.Step(time.Minute)
		p.reconcile(maintained)
		if n := len(p.jobs("prune")); n != 0 {
			t.Errorf("%s is pruned while it is copied", maintained)
		}
		p.ends("copy-to", copiedAll("h1"))
		p.reconcile(maintained)
		p.theJob("prune")

		p.clock.Step(time.Minute)
		p.reconcile("first") // its end is known
		p.change("first", func(r *v1alpha1.ResticRepository) { p.opened(r, "h2") })
		p.reconcile("first")
		copies := p.jobs("copy-to")
		if len(slices.DeleteFunc(copies, func(j batchv1.Job) bool { return len(j.Status.Conditions) > 0 })) != 0 {
			t.Errorf("%s is copied while it is pruned", maintained)
		}
	}
}

func TestWhatCannotBeCopiedIsRefused(t *testing.T) {
	p := aPlace(t)
	p.change("first", func(r *v1alpha1.ResticRepository) { r.Spec.CopyTo[0].RepositoryRef.Name = "nowhere" })
	p.isCopied(p.reconcile("first"), "False CopyWaiting to nowhere: there is no ResticRepository nowhere in this namespace")
	p.change("first", func(r *v1alpha1.ResticRepository) { r.Spec.CopyTo[0].RepositoryRef.Name = "second" })
	p.change("second", func(r *v1alpha1.ResticRepository) { r.Spec.Backend = p.now("first").Spec.Backend })
	first := p.reconcile("first")
	p.isCopied(first, "False CopyRefused to second: both are at the same place")
	if !strings.HasPrefix(first.Status.Message, "CopyRefused: ") || len(p.jobs("")) != 0 {
		t.Errorf("%q %v", first.Status.Message, p.jobs(""))
	}
}

func TestACopyWhosePodDoesNotStartIsTriedAgain(t *testing.T) {
	p := aPlace(t)
	p.reconcile("first")
	job := p.theJob("copy-to")
	job.CreationTimestamp = metav1.NewTime(noon)
	p.must(p.Update(t.Context(), job))
	p.clock.Step(11 * time.Minute)
	p.isCopied(p.reconcile("first"), "False CopyFailed to second: Interrupted: its pod starts")
	if n := len(p.jobs("copy-to")); n != 0 {
		t.Errorf("%d Jobs are left", n)
	}
}

func TestANewRepositoryIsMadeLikeItsSource(t *testing.T) {
	p := aPlace(t)
	p.change("second", func(r *v1alpha1.ResticRepository) {
		r.Status.RepositoryID = ""
		ready(r, metav1.ConditionFalse, v1alpha1.ReasonInitialising)
	})
	p.change("first", func(r *v1alpha1.ResticRepository) { ready(r, metav1.ConditionFalse, "Unreachable") })
	second := p.reconcile("second")
	if len(p.jobs("")) != 0 || !strings.Contains(second.Status.Message, "it is made once repository first is ready") {
		t.Errorf("%q %v", second.Status.Message, p.jobs(""))
	}
	p.change("first", func(r *v1alpha1.ResticRepository) { ready(r, metav1.ConditionTrue, v1alpha1.ReasonOpened) })
	p.reconcile("second")
	c := p.theJob("init").Spec.Template.Spec.Containers[0]
	isFrom := func(e corev1.EnvVar) bool { return e.Name == resticexport.EnvFromRepository }
	if !slices.Contains(c.Args, `{"init":{"likeSource":true}}`) || !slices.ContainsFunc(c.Env, isFrom) {
		t.Errorf("%q %+v", c.Args, c.Env)
	}
	p.reconcile("first")
	if n := len(p.jobs("copy-to")); n != 0 {
		t.Error("it is copied to while it is made")
	}
}

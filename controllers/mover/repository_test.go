package mover

import (
	"context"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// anOpened is a repository that was opened at noon.
func anOpened(change func(*v1alpha1.ResticRepository)) *v1alpha1.ResticRepository {
	at := metav1.NewTime(noon)
	r := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "offsite", Generation: 2}}
	r.Spec.Concurrency, r.Status.LastLookTime = 4, &at
	r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: 2}}
	if change != nil {
		change(r)
	}
	return r
}

func TestWhatARepositoryIsWaitedFor(t *testing.T) {
	failedAt := func(after time.Duration) func(*v1alpha1.ResticRepository) {
		return func(r *v1alpha1.ResticRepository) {
			r.Status.LastFailureTime = &metav1.Time{Time: noon.Add(after)}
		}
	}
	doing := func(status metav1.ConditionStatus, reason string) func(*v1alpha1.ResticRepository) {
		return func(r *v1alpha1.ResticRepository) {
			r.Status.Conditions = append(r.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReconciling, Status: status, Reason: reason, Message: "prune: waits until the 3 are done"})
		}
	}
	for name, c := range map[string]struct {
		change         func(*v1alpha1.ResticRepository)
		waits, exports string
	}{
		"nothing":                     {nil, "", ""},
		"its first look":              {func(r *v1alpha1.ResticRepository) { r.Status.Conditions = nil }, "is opened", ""},
		"a look by its new spec":      {func(r *v1alpha1.ResticRepository) { r.Generation++ }, "is opened", ""},
		"a person":                    {func(r *v1alpha1.ResticRepository) { r.Status.Conditions[0].Status = metav1.ConditionFalse }, "isn't ready", ""},
		"a look after a failure":      {failedAt(time.Minute), "is looked at", ""},
		"a failure before the look":   {failedAt(-time.Minute), "", ""},
		"who has to be alone":         {doing(metav1.ConditionTrue, v1alpha1.ReasonMaintaining), "", "prune: waits until the 3"},
		"an exchange of its password": {doing(metav1.ConditionTrue, v1alpha1.ReasonRekeying), "", "is looked after"},
		"a look under way":            {doing(metav1.ConditionTrue, v1alpha1.ReasonOpening), "", ""},
		"what is done":                {doing(metav1.ConditionFalse, v1alpha1.ReasonMaintaining), "", ""},
	} {
		r := anOpened(c.change)
		if waits := WaitsFor(r); (waits == "") != (c.waits == "") || !strings.Contains(waits, c.waits) {
			t.Errorf("%s: %q", name, waits)
		}
		if waits := YieldsTo(r); (waits == "") != (c.exports == "") || !strings.Contains(waits, c.exports) {
			t.Errorf("%s: an export: %q", name, waits)
		}
	}
}

func TestWhatMakesARepositoryBeLookedAt(t *testing.T) {
	for cause, isDoubt := range map[resticexport.Cause]bool{
		resticexport.CauseUnreachable: true, resticexport.CauseWrongPassword: true, resticexport.CauseNoRepository: true,
		resticexport.CauseLocked: false, resticexport.CauseSourceUnreadable: false, resticexport.CauseInterrupted: false, "": false,
	} {
		r := anOpened(nil)
		m := moversWith(t, r)
		if err := m.Doubt(t.Context(), r, resticexport.Result{Done: cause == "", Cause: cause}, noon.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		var now v1alpha1.ResticRepository
		if err := m.Live.Get(t.Context(), client.ObjectKeyFromObject(r), &now); err != nil {
			t.Fatal(err)
		}
		if resticexport.IsInDoubt(&now) != isDoubt {
			t.Errorf("%q: %v", cause, now.Status.LastFailureTime)
		}
	}
}

func moversWith(t *testing.T, objects ...client.Object) *Movers {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, batchv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.ResticRepository{}, &batchv1.Job{}, &corev1.Pod{}).
		WithIndex(&corev1.Event{}, "involvedObject.name", func(client.Object) []string { return nil }).
		WithIndex(&corev1.Event{}, "type", func(client.Object) []string { return nil }).
		WithObjects(objects...).Build()
	return &Movers{Writes: c, Live: c}
}

// What has begun is read where nothing may begin any more, and what a mover needs is
// made for one that has its place alone.
func TestWhatHasBegunIsLookedAtWhateverItsRepositoryWaitsFor(t *testing.T) {
	m, made := moversWith(t), 0
	place := Place{Kind: Shared, Most: 1, First: func(context.Context) (string, error) { made++; return "", nil }}
	owner := metav1.OwnerReference{Name: "b", UID: ours, Controller: new(bool)}
	*owner.Controller = true
	export := func(name string, place Place) Run {
		t.Helper()
		ran, err := m.Run(t.Context(), resticexport.JobInput{Name: name, Namespace: "shop", Repository: "offsite", Spec: &v1alpha1.ResticRepositorySpec{}}, owner, place)
		if err != nil {
			t.Fatal(err)
		}
		return ran
	}
	blocked := place
	blocked.Waits = "repository offsite isn't ready"
	if ran := export("first", blocked); ran.Waits != blocked.Waits || made != 0 {
		t.Errorf("%+v, made %d", ran, made)
	}
	if ran := export("first", place); ran.Waits != "its pod starts" || made != 1 {
		t.Errorf("%+v, made %d", ran, made)
	}
	if ran := export("second", place); !strings.Contains(ran.Waits, "for its turn") || made != 1 {
		t.Errorf("%+v, made %d", ran, made)
	}
	if ran := export("first", place); ran.Waits != "its pod starts" || made != 2 {
		t.Errorf("while its pod doesn't start: %+v, made %d", ran, made)
	}
	var job batchv1.Job
	if err := m.Live.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "first"}, &job); err != nil {
		t.Fatal(err)
	}
	job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	if err := m.Writes.Status().Update(t.Context(), &job); err != nil {
		t.Fatal(err)
	}
	forged := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "forged", Labels: map[string]string{batchv1.JobNameLabel: "first"}}}
	forged.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: resticexport.Container, State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{Message: string(resticexport.Result{Done: true}.Encode())},
	}}}
	if err := m.Writes.Create(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	if ran := export("first", blocked); !ran.Ended || ran.Result.Done || made != 2 {
		t.Errorf("%+v, made %d", ran, made)
	}
}

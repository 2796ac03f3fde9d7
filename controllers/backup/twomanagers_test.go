package backup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// twoExporters are managers that both believe that they lead. Right before those writes of
// the first, counted from 1, the second looks and does what it finds to do.
type twoExporters struct {
	*place
	backup        *v1alpha1.VolumeBackup
	first, second client.Client
	looksAt       func(write int) bool
	looks         bool
	writes        int
	// made counts how often each Job was made.
	made map[string]int
}

func (p *place) twoExporters(looksAt func(int) bool) *twoExporters {
	two := &twoExporters{place: p, backup: p.aCut("b"), looksAt: looksAt, made: map[string]int{}}
	two.first, two.second = two.client(two.beforeWrite), two.client(func() {})
	return two
}

func (two *twoExporters) client(before func()) client.Client {
	return interceptor.NewClient(two.Client.(client.WithWatch), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			before()
			obj.SetCreationTimestamp(metav1.NewTime(two.clock.Now()))
			err := c.Create(ctx, obj, opts...)
			if _, is := obj.(*batchv1.Job); is && err == nil {
				two.made[obj.GetName()]++
			}
			return err
		},
		Delete: func(ctx context.Context, c client.WithWatch, obj client.Object, _ ...client.DeleteOption) error {
			before()
			return c.Delete(ctx, obj) // the fake server knows no UIDs to hold it to
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			before()
			return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
		},
	})
}

func (two *twoExporters) beforeWrite() {
	if two.looks {
		return
	}
	if two.writes++; two.looksAt(two.writes) {
		two.looks = true
		two.isFaster(two.look(two.second, two.backup))
		two.looks = false
	}
}

// isFaster fails for an error that isn't the other manager's doing.
func (two *twoExporters) isFaster(err error) {
	two.t.Helper()
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
		two.t.Fatal(err)
	}
}

// anExportOfTwo is one whose first mover can't reach its repository.
func anExportOfTwo(t *testing.T, looksAt func(int) bool) *twoExporters {
	t.Helper()
	two := aPlace(t).twoExporters(looksAt)
	results := []resticexport.Result{
		{Cause: resticexport.CauseInterrupted, Message: "its node is gone"},
		{Done: true, Backup: &resticexport.ExportedSnapshot{SnapshotID: strings.Repeat("a", 64)}},
	}
	for range 10 {
		two.isFaster(two.look(two.first, two.backup))
		if job := two.moverOf(two.backup); job != nil && len(job.Status.Conditions) == 0 && len(results) > 0 {
			two.ends(job, results[0])
			results = results[1:]
		}
		two.clock.Step(15 * time.Second)
	}
	two.must(two.Get(t.Context(), client.ObjectKeyFromObject(two.backup), two.backup))
	return two
}

// ends has a mover come to its end, which has read its clone.
func (two *twoExporters) ends(job *batchv1.Job, result resticexport.Result) {
	two.t.Helper()
	for _, clone := range two.clones() {
		clone.UID = "of-the-clone"
		two.must(two.Update(two.t.Context(), &clone))
		clone.Status.Phase = corev1.ClaimBound
		two.must(two.Status().Update(two.t.Context(), &clone))
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: job.Name, Labels: map[string]string{batchv1.JobNameLabel: job.Name}}}
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: resticexport.Container, State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{Message: string(result.Encode())},
	}}}
	two.must(two.Create(two.t.Context(), pod))
	job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
	two.must(two.Status().Update(two.t.Context(), job))
}

// outcome is what it has come to, but for the times.
func (two *twoExporters) outcome() string {
	two.t.Helper()
	e := two.backup.Status.Volumes[0].Export
	return fmt.Sprintf("%s, snapshot %.4s after %d attempts, %d clones and a Job is left: %t; made were %v",
		two.backup.Status.Phase, e.SnapshotID, e.Attempts, len(two.clones()), two.moverOf(two.backup) != nil, slices.Sorted(maps.Keys(two.made)))
}

// Leader election keeps two managers from working at once; where it fails them each attempt
// of an export has one mover all the same, and nothing of it is left.
func TestTwoManagersAtOnceExportOnce(t *testing.T) {
	alone := anExportOfTwo(t, func(int) bool { return false })
	want := alone.outcome()
	if !strings.HasPrefix(want, "Completed, snapshot aaaa after 2 attempts, 0 clones and a Job is left: false") || len(alone.made) != 2 {
		t.Fatalf("by one manager it is: %s", want)
	}
	check := func(when string, looksAt func(int) bool) {
		two := anExportOfTwo(t, looksAt)
		if got := two.outcome(); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
		for job, times := range two.made {
			if times > 1 {
				t.Errorf("%s: Job %s was made %d times", when, job, times)
			}
		}
	}
	check("both at each write", func(int) bool { return true })
	for at := range alone.writes {
		check(fmt.Sprintf("the second before write %d", at+1), func(write int) bool { return write == at+1 })
	}
}

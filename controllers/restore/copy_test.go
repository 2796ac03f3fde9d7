package restore

import (
	"context"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// moverPods runs the Jobs of movers, each to the result that is next.
type moverPods struct {
	*fakeCluster
	// results are those of the Jobs in the order of their making. The last is that
	// of all that follow. Without any they run on.
	results []resticexport.Result
	// ran are the names of the Jobs.
	ran []string
}

func (m *moverPods) run(*v1alpha1.VolumeRestore) {
	ctx := context.Background()
	for _, job := range m.jobs() {
		isNew := !slices.Contains(m.ran, job.Name)
		if isNew {
			m.ran = append(m.ran, job.Name)
		}
		if m.readable(&job); len(m.results) == 0 || !isNew {
			continue
		}
		result := m.results[min(len(m.ran), len(m.results))-1]
		job.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
		m.must(m.Status().Update(ctx, &job))
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: job.Name, UID: types.UID("uid-" + job.Name), Labels: map[string]string{batchv1.JobNameLabel: job.Name}}}
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(&job, batchv1.SchemeGroupVersion.WithKind("Job"))}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: resticexport.Container, State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{Message: string(result.Encode())},
		}}}
		m.must(m.Create(ctx, pod))
	}
}

// readable is an error of the test where a mover has nothing to read, or to write
// to.
func (m *moverPods) readable(job *batchv1.Job) {
	for _, v := range job.Spec.Template.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		var claim corev1.PersistentVolumeClaim
		if err := m.Get(context.Background(), client.ObjectKey{Namespace: shop, Name: v.PersistentVolumeClaim.ClaimName}, &claim); err != nil {
			m.t.Errorf("dying at write %d: while Job %s is there: %v", m.dieAt, job.Name, err)
		}
		if isMade := claim.Spec.DataSource != nil; isMade != (v.Name == "source") {
			m.t.Errorf("dying at write %d: its volume %s is made from %v", m.dieAt, v.Name, claim.Spec.DataSource)
		}
	}
}

func (m *moverPods) jobs() []batchv1.Job {
	var all batchv1.JobList
	m.must(m.List(context.Background(), &all))
	return all.Items
}

func ofPaths(v *v1alpha1.VolumeRestore) {
	v.Spec.Source.Paths, v.Spec.Target.Strategy = []string{"/etc/app.conf"}, v1alpha1.StrategyClaimsOnly
}

// A manager dies at each of its writes, and its successor goes on. In every ending
// the clone and the Jobs are gone.
func TestPathsAreCopiedWhateverBecomesOfTheManager(t *testing.T) {
	done := resticexport.Result{Done: true, Restore: &resticexport.RestoredFiles{Files: 1, Bytes: 7}}
	interrupted := resticexport.Result{Cause: resticexport.CauseInterrupted, Message: "the node went away"}
	missing := resticexport.Result{Cause: resticexport.CauseNotFound, Message: "the snapshot has no /etc/app.conf"}
	for name, c := range map[string]struct {
		results []resticexport.Result
		deleted bool
		phase   v1alpha1.RestorePhase
		says    string
		jobs    int
	}{
		"copied":                     {results: []resticexport.Result{done}, phase: v1alpha1.RestoreCompleted, says: "1 claim(s) from VolumeBackup b by ClaimsOnly", jobs: 1},
		"copied at the second try":   {results: []resticexport.Result{interrupted, done}, phase: v1alpha1.RestoreCompleted, jobs: 2},
		"a path that isn't there":    {results: []resticexport.Result{missing}, phase: v1alpha1.RestoreFailed, says: "claim data could not be filled from VolumeBackup b: NotFound: the snapshot has no /etc/app.conf"},
		"deleted while it is copied": {deleted: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for die, writes := 0, 1; die <= writes && !t.Failed(); die++ {
				w := newCluster(t, v1alpha1.KindDeployment)
				w.must(w.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: shop}}))
				w.must(w.Create(t.Context(), aRestore(ofPaths)))
				movers := &moverPods{fakeCluster: w, results: c.results}
				w.dieAt = die
				w.meanwhile = func(v *v1alpha1.VolumeRestore) {
					if movers.run(v); c.deleted && len(movers.ran) > 0 && v.DeletionTimestamp.IsZero() {
						w.must(w.Delete(t.Context(), v))
					}
				}
				v := w.run()
				writes = w.writes
				movers.check(v, c.phase, c.says, c.jobs)
			}
		})
	}
}

func (m *moverPods) check(v *v1alpha1.VolumeRestore, phase v1alpha1.RestorePhase, says string, jobs int) {
	m.t.Helper()
	if left := m.jobs(); len(left) > 0 {
		m.t.Errorf("dying at write %d: Job %s is left", m.dieAt, left[0].Name)
	}
	var claims []string
	for _, claim := range m.claims() {
		claims = append(claims, claim.Name)
	}
	want := []string{"data"}
	if phase == v1alpha1.RestoreCompleted {
		want = append(want, v.Status.Claims[0].RestoredClaim)
	}
	if !slices.Equal(claims, want) {
		m.t.Errorf("dying at write %d: the claims are %q, not %q", m.dieAt, claims, want)
	}
	switch {
	case phase == "":
		if v != nil {
			m.t.Errorf("dying at write %d: it is still there: %s", m.dieAt, v.Status.Message)
		}
	case v.Status.Phase != phase || !strings.Contains(v.Status.Message, says) || jobs > 0 && len(m.ran) != jobs:
		m.t.Errorf("dying at write %d: %s after %q: %s", m.dieAt, v.Status.Phase, m.ran, v.Status.Message)
	}
	if m.mounted() != "pv-old" {
		m.t.Errorf("dying at write %d: the application was touched", m.dieAt)
	}
}

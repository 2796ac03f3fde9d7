package integration

import (
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// Nobody runs Jobs here, and nobody gives a claim a volume: what a mover comes to the
// test says.

// aRepository offsite is ready to be worked in.
func (fc *fakeCluster) aRepository() *v1alpha1.ResticRepository {
	fc.Helper()
	r := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Name: "offsite"}}
	r.Spec.Backend.Volume = &v1alpha1.VolumeBackend{ClaimName: "disk"}
	r.Spec.PasswordSecretRef.Name = "password"
	fc.create(r)
	meta.SetStatusCondition(&r.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonOpened, ObservedGeneration: r.Generation,
	})
	fc.writesStatus(r)
	return r
}

// exported has a backup exported into the repository offsite.
func exported(s *v1alpha1.VolumeBackupSpec) {
	s.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: "offsite"}}
}

// movers are the Jobs of a backup.
func (fc *fakeCluster) movers(b *v1alpha1.VolumeBackup) (jobs []batchv1.Job) {
	fc.Helper()
	var all batchv1.JobList
	fc.must(admin.List(fc.ctx, &all, client.InNamespace(fc.namespace)))
	for _, job := range all.Items {
		if metav1.IsControlledBy(&job, b) {
			jobs = append(jobs, job)
		}
	}
	return jobs
}

// aMover of a backup waits for its clone, and a manager for it.
func (fc *fakeCluster) aMover() (b *v1alpha1.VolumeBackup, by *manager, job *batchv1.Job) {
	fc.Helper()
	fc.aRepository()
	fc.anApplication("data")
	by = fc.aManager()
	b = fc.aBackup(fc.held, exported)
	fc.eventually("there is a mover", func() bool { return len(fc.movers(b)) == 1 })
	return b, by, &fc.movers(b)[0]
}

// collectsGarbage stands for the controllers that let go what is deleted: Jobs with their
// pods, and claims that no pod mounts.
func (fc *fakeCluster) collectsGarbage() {
	fc.storage.all.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fc.letsGo(&batchv1.JobList{})
				fc.letsGo(&corev1.PersistentVolumeClaimList{})
			case <-fc.ctx.Done():
				return
			}
		}
	})
}

// letsGo takes the finalizers from those that are deleted. What can't be done is done
// the next time.
func (fc *fakeCluster) letsGo(list client.ObjectList) {
	if admin.List(fc.ctx, list, client.InNamespace(fc.namespace)) != nil {
		return
	}
	_ = meta.EachListItem(list, func(item runtime.Object) error {
		if obj := item.(client.Object); !obj.GetDeletionTimestamp().IsZero() {
			_ = admin.Patch(fc.ctx, obj, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
		}
		return nil
	})
}

// clone is the claim that a mover reads.
func (fc *fakeCluster) clone(job *batchv1.Job) *corev1.PersistentVolumeClaim {
	fc.Helper()
	for _, v := range job.Spec.Template.Spec.Volumes {
		if of := v.PersistentVolumeClaim; of != nil && of.ClaimName != "disk" {
			claim := &corev1.PersistentVolumeClaim{}
			fc.must(admin.Get(fc.ctx, client.ObjectKey{Namespace: fc.namespace, Name: of.ClaimName}, claim))
			return claim
		}
	}
	fc.Fatalf("Job %s reads no claim", job.Name)
	return nil
}

// reads has the clone of a mover bound, and waits until that is on record.
func (fc *fakeCluster) reads(b *v1alpha1.VolumeBackup, job *batchv1.Job) {
	fc.Helper()
	clone := fc.clone(job)
	clone.Status.Phase = corev1.ClaimBound
	fc.must(admin.Status().Update(fc.ctx, clone))
	fc.await(b, "of a known clone", func(b *v1alpha1.VolumeBackup) bool {
		e := b.Status.Volumes[0].Export
		return e != nil && e.CloneUID == clone.UID
	})
}

// ends has a mover end, with its snapshot in the repository.
func (fc *fakeCluster) ends(job *batchv1.Job) {
	fc.Helper()
	result := resticexport.Result{Done: true, Backup: &resticexport.ExportedSnapshot{SnapshotID: strings.Repeat("a", 64)}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: job.Name, Labels: map[string]string{batchv1.JobNameLabel: job.Name}}, Spec: job.Spec.Template.Spec}
	fc.owns(job, pod)
	fc.create(pod)
	ended := corev1.ContainerStateTerminated{Message: string(result.Encode())}
	pod.Status.Phase = corev1.PodSucceeded
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: resticexport.Container, State: corev1.ContainerState{Terminated: &ended}}}
	fc.must(admin.Status().Update(fc.ctx, pod))
	fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(job), job))
	now := metav1.Now()
	job.Status.StartTime, job.Status.CompletionTime, job.Status.Succeeded = &now, &now, 1
	for _, c := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete} {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	fc.must(admin.Status().Update(fc.ctx, job))
}

// nothingOfAnExportIsLeft waits until neither a Job nor a clone is there any more.
func (fc *fakeCluster) nothingOfAnExportIsLeft() {
	fc.Helper()
	fc.eventually("nothing of its export is left", func() bool {
		var jobs batchv1.JobList
		var claims corev1.PersistentVolumeClaimList
		fc.must(admin.List(fc.ctx, &jobs, client.InNamespace(fc.namespace)))
		fc.must(admin.List(fc.ctx, &claims, client.InNamespace(fc.namespace)))
		return len(jobs.Items) == 0 && !slices.ContainsFunc(claims.Items, func(c corev1.PersistentVolumeClaim) bool { return c.Name != "data" })
	})
}

package integration

import (
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
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

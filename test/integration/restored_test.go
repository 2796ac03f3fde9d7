package integration

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestAClaimThatIsReplacedDuringTheCutDisprovesIt(t *testing.T) {
	fc := aFakeCluster(t)
	fc.claims("data", "log")
	cut := fc.storage.holdFirstCuts()
	fc.aManager()
	fc.runs("done", template("data", "log"), nil)
	b := fc.aBackup(fc.held, attempts(1), func(s *v1alpha1.VolumeBackupSpec) { s.ApplicationRef.Name = "done" })
	fc.eventually("snapshots are asked for", func() bool { return len(fc.storage.made()) == 2 })
	fc.replaceClaim("log")
	close(cut)
	fc.awaitFailed(b, v1alpha1.ReasonQuiesceFailed, "PersistentVolumeClaim log was replaced")
	fc.noSnapshotIsLeft()
}

// replaceClaim puts a claim of the same name for another volume in its place.
func (fc *fakeCluster) replaceClaim(name string) {
	fc.Helper()
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: fc.namespace, Name: name}}
	fc.must(admin.Delete(fc.ctx, claim))
	unprotected := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	fc.must(client.IgnoreNotFound(admin.Patch(fc.ctx, claim, unprotected)))
	another := fc.newClaim(name)
	another.Spec.VolumeName = fc.namespace + "-another"
	fc.create(another)
}

func TestABackupWaitsForARestoreThatHasTheApplicationStopped(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	restore := &v1alpha1.VolumeRestore{
		ObjectMeta: metav1.ObjectMeta{Name: "monday"},
		Spec:       v1alpha1.VolumeRestoreSpec{Source: v1alpha1.RestoreSource{VolumeBackupRef: &v1alpha1.LocalReference{Name: "b"}}},
	}
	fc.create(restore)
	now := metav1.NowMicro()
	restore.Status.ScaledDownAt = &now
	restore.Status.Application = &v1alpha1.ApplicationReference{Kind: v1alpha1.KindPod, Name: "mysql"}
	fc.writesStatus(restore)
	fc.aManager()
	b := fc.await(fc.aBackup(fc.held), "that it waits", func(b *v1alpha1.VolumeBackup) bool {
		return strings.Contains(b.Status.Message, "waits until VolumeRestore monday")
	})
	fc.noCommandRan()
	meta.SetStatusCondition(&restore.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: "x"})
	fc.writesStatus(restore)
	fc.awaitComplete(b, v1alpha1.Proven)
}

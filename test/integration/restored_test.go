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
	w := aWorld(t)
	w.claims("data", "log")
	cut := w.storage.holdFirstCuts()
	w.aManager()
	w.runs("done", template("data", "log"), nil)
	b := w.aBackup(w.held, attempts(1), func(s *v1alpha1.VolumeBackupSpec) { s.ApplicationRef.Name = "done" })
	w.eventually("snapshots are asked for", func() bool { return len(w.storage.made()) == 2 })
	w.replaceClaim("log")
	close(cut)
	w.awaitFailed(b, v1alpha1.ReasonQuiesceFailed, "PersistentVolumeClaim log was replaced")
	w.noSnapshotIsLeft()
}

// replaceClaim puts a claim of the same name for another volume in its place.
func (w *world) replaceClaim(name string) {
	w.Helper()
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}}
	w.must(admin.Delete(w.ctx, claim))
	letGo := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	w.must(client.IgnoreNotFound(admin.Patch(w.ctx, claim, letGo)))
	another := w.newClaim(name)
	another.Spec.VolumeName = w.namespace + "-another"
	w.create(another)
}

func TestABackupWaitsForARestoreThatHasTheApplicationStopped(t *testing.T) {
	w := aWorld(t)
	w.anApplication("data")
	restore := &v1alpha1.VolumeRestore{
		ObjectMeta: metav1.ObjectMeta{Name: "monday"},
		Spec:       v1alpha1.VolumeRestoreSpec{Source: v1alpha1.RestoreSource{VolumeBackupRef: &v1alpha1.LocalReference{Name: "b"}}},
	}
	w.create(restore)
	now := metav1.NowMicro()
	restore.Status.ScaledDownAt = &now
	restore.Status.Application = &v1alpha1.ApplicationReference{Kind: v1alpha1.KindPod, Name: "mysql"}
	w.must(admin.Status().Update(w.ctx, restore))
	w.aManager()
	b := w.await(w.aBackup(w.held), "that it waits", func(b *v1alpha1.VolumeBackup) bool {
		return strings.Contains(b.Status.Message, "waits until VolumeRestore monday")
	})
	w.noCommandRan()
	meta.SetStatusCondition(&restore.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue, Reason: "x"})
	w.must(admin.Status().Update(w.ctx, restore))
	w.awaitComplete(b, v1alpha1.Proven)
}

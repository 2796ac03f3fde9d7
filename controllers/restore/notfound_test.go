package restore

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A restore may be applied a moment before its backup: it waits for that as long
// as the options say, and stops nothing.
func TestHowLongABackupIsWaitedFor(t *testing.T) {
	const limit = 15 * time.Second // of the options, where nobody says otherwise
	restoreOfNone := func(w *fakeCluster, comesAfter time.Duration) (v *v1alpha1.VolumeRestore, took time.Duration) {
		backup := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "b"}}
		w.must(w.Get(context.Background(), client.ObjectKeyFromObject(backup), backup))
		w.must(w.Delete(context.Background(), backup))
		begin := w.clock.Now()
		w.meanwhile = func(*v1alpha1.VolumeRestore) {
			if comesAfter > 0 && w.clock.Now().Sub(begin) >= comesAfter {
				backup.ResourceVersion = ""
				w.must(w.Create(context.Background(), backup))
				comesAfter = 0
			}
		}
		w.must(w.Create(context.Background(), aRestore(nil)))
		v = w.run()
		return v, w.clock.Now().Sub(begin)
	}
	w := newCluster(t, v1alpha1.KindDeployment)
	v, took := restoreOfNone(w, 0)
	failedBecause(t, v, v1alpha1.RestoreFailed, v1alpha1.ReasonBackupNotFound, `there is no VolumeBackup "b"`)
	if took < limit || took > limit+3*time.Second || v.Status.ScaledDownAt != nil || w.mounted() != "pv-old" {
		t.Errorf("it ended after %s, stopped at %v, on %s", took, v.Status.ScaledDownAt, w.mounted())
	}
	w = newCluster(t, v1alpha1.KindDeployment)
	if v, _ := restoreOfNone(w, limit-3*time.Second); v.Status.Phase != v1alpha1.RestoreCompleted {
		t.Errorf("the backup came in time: %s: %s", v.Status.Phase, v.Status.Message)
	}
}

package integration

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Whoever may delete VolumeSnapshots takes one of a backup that is complete, while a
// manager runs and while none does.
func TestACompleteBackupTellsThatItHasLostASnapshot(t *testing.T) {
	for name, watched := range map[string]bool{"watched": true, "not watched": false} {
		t.Run(name, func(t *testing.T) {
			fc := aFakeCluster(t)
			fc.anApplication("data", "log")
			m := fc.aManager()
			b := fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
			whole := fc.awaitComplete(fc.aBackup(fc.held), v1alpha1.Proven)
			if !watched {
				m.stop()
			}
			for _, snap := range fc.snapshots() {
				if snap.Labels[v1alpha1.LabelClaim] == "log" && snap.Labels[v1alpha1.LabelBackupUID] == string(b.UID) {
					fc.delete(&snap)
				}
			}
			fc.eventually("it is gone", func() bool { return len(fc.snapshots()) == 3 })
			if !watched {
				fc.aManager()
			}
			b = fc.await(b, "known to have lost one", func(b *v1alpha1.VolumeBackup) bool {
				return condition(b, v1alpha1.ConditionSnapshotsReady).Reason == v1alpha1.ReasonSnapshotLost
			})
			if b.Status.Phase != v1alpha1.PhaseCompleted || b.Status.Snapshots != "1/2" || !strings.HasPrefix(b.Status.Message, "the snapshot(s) of log were deleted after") {
				t.Error(describe(b))
			}
			fc.eventually("it is told", func() bool { return len(fc.events(v1alpha1.ReasonSnapshotLost)) > 0 })
			if told := fc.events(v1alpha1.ReasonSnapshotLost); len(told) != 1 {
				t.Errorf("it is told as %q", told)
			}
			if fc.must(admin.Get(fc.ctx, client.ObjectKeyFromObject(whole), whole)); whole.Status.Snapshots != "2/2" {
				t.Errorf("it has all of its own:\n%s", describe(whole))
			}
		})
	}
}

package integration

import (
	"strings"
	"testing"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// aBackupCalled is a backup of the pod mysql with that name.
func (fc *fakeCluster) aBackupCalled(name string, labels map[string]string) *v1alpha1.VolumeBackup {
	fc.Helper()
	b := framework.NewBackup(fc.namespace, v1alpha1.ApplicationReference{Kind: v1alpha1.KindPod, Name: "mysql"}, fc.held)
	b.GenerateName, b.Name, b.Labels = "", name, labels
	fc.create(b)
	return b
}

// Its object was lost, and whoever applies its manifest makes another of that name.
func TestABackupThatIsAppliedAgainFreezesNothing(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	lost := framework.NewBackup(fc.namespace, v1alpha1.ApplicationReference{Kind: v1alpha1.KindPod, Name: "mysql"})
	lost.Name, lost.UID = "monday", "uid-of-the-lost"
	left := fc.newSnapshotOf(lost, "data", 1)
	fc.create(left)
	fc.aManager()
	b := fc.aBackupCalled("monday", nil)
	fc.awaitFailed(b, v1alpha1.ReasonAlreadyBackedUp, left.Name, "For a new backup take another name")
	fc.noCommandRan()
	fc.delete(b)
	fc.awaitGone(b)
	fc.isLeftAlone(left)
}

// One that was deleted has taken its snapshots along, or its marks off them.
func TestTheNameOfABackupThatWasDeletedIsFree(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager()
	for range 2 {
		b := framework.NewBackup(fc.namespace, v1alpha1.ApplicationReference{Kind: v1alpha1.KindPod, Name: "mysql"}, fc.held, retain)
		b.GenerateName, b.Name = "", "monday"
		fc.create(b)
		fc.awaitComplete(b, v1alpha1.Proven)
		fc.delete(b)
		fc.awaitGone(b)
	}
}

func TestABackupThatVeleroPutsBackIsLeftAlone(t *testing.T) {
	fc := aFakeCluster(t)
	fc.anApplication("data")
	fc.aManager()
	b := fc.aBackupCalled("monday", map[string]string{v1alpha1.LabelVelero: "cluster-1"})
	b = fc.await(b, "at its end", ended)
	if failed := condition(b, v1alpha1.ConditionFailed); failed.Reason != v1alpha1.ReasonPutBack || !strings.Contains(failed.Message, "it was put back by Velero's Restore cluster-1") || len(b.Finalizers) > 0 {
		t.Errorf("should be left alone:\n%s", describe(b))
	}
	fc.noCommandRan()
	fc.delete(b)
	fc.awaitGone(b)
}

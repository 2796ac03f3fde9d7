package backup

import (
	"fmt"
	"slices"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// A backup that is complete has lost a snapshot: it is looked at, whether somebody
// watched or not, and none of the others is.
func TestWhoHasLostASnapshotIsLookedAt(t *testing.T) {
	k := someSnapshots(t)
	var all []any
	whole := k.backup("whole", true, "w1", "w2")
	lacks := k.backup("lacks", true, "l1", "l2")
	goesOn := k.backup("goes-on", false, "g1")
	exported := k.backup("only-exported", true, "e1")
	check(t, k.cluster.Get(t.Context(), client.ObjectKeyFromObject(exported), exported))
	exported.Status.Conditions = withoutSnapshots(v1alpha1.ReasonOnlyExported)
	check(t, k.cluster.Update(t.Context(), exported))
	all = append(all, snapshotFor(whole, "w1"), snapshotFor(whole, "w2"), snapshotFor(lacks, "l1"))
	check(t, k.Replace(all, "1"))
	if woken := k.woken(); !slices.Equal(woken, []string{"lacks"}) {
		t.Errorf("%v are looked at by a list", woken)
	}
	check(t, k.Delete(snapshotFor(whole, "w2")))
	check(t, k.Delete(snapshotFor(goesOn, "g1")))
	if woken := k.woken(); !slices.Equal(woken, []string{"whole"}) {
		t.Errorf("%v are looked at by deletions: who goes on is once it has ended", woken)
	}
	for b, want := range map[*v1alpha1.VolumeBackup]bool{whole: true, lacks: true, goesOn: true, exported: false} {
		if k.losses.isSuspect(client.ObjectKeyFromObject(b)) != want {
			t.Errorf("%s: whether it may have lost one should be %t", b.Name, want)
		}
	}
	k.settle(client.ObjectKeyFromObject(whole), &v1alpha1.VolumeBackup{})
	if k.losses.isSuspect(client.ObjectKeyFromObject(whole)) {
		t.Error("a backup that is gone is remembered")
	}
}

// What a list is read for may begin before the list does, and once more where it
// breaks off.
func TestAListThatBeginsTwiceLacksNothing(t *testing.T) {
	k := someSnapshots(t)
	b := k.backup("b", true, "s1", "s2")
	k.lists()
	k.snapshots.wants(t.Context(), snapshotFor(b, "s1"))
	k.lists()
	k.snapshots.wants(t.Context(), snapshotFor(b, "s1"))
	k.snapshots.wants(t.Context(), snapshotFor(b, "s2"))
	check(t, k.Replace(nil, "1")) // nobody wants them
	if woken := k.woken(); len(woken) > 0 {
		t.Errorf("%v are looked at", woken)
	}
}

// More volumes than there are bits are looked at only by their deletion.
func TestABackupOfVeryManyVolumes(t *testing.T) {
	k := someSnapshots(t)
	var names []string
	for i := range 70 {
		names = append(names, fmt.Sprintf("s%d", i))
	}
	b := k.backup("b", true, names...)
	k.lists()
	for _, name := range names[:64] {
		k.snapshots.wants(t.Context(), snapshotFor(b, name))
	}
	check(t, k.Replace(nil, "1"))
	if woken := k.woken(); len(woken) > 0 {
		t.Errorf("%v are looked at", woken)
	}
}

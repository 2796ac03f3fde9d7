package mover

import (
	"context"
	"strings"
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/lull-dev/lull/snapshot/cut"
)

// A snapshot is replaced by another while the clone waits for its volume, and that one
// is deleted before anybody looks again.
func TestACloneIsOfItsSnapshotOnlyWhereThatIsKnown(t *testing.T) {
	const uid = types.UID("uid-of-clone")
	for name, c := range map[string]struct {
		snapshot types.UID
		pending  bool
		owner    types.UID
		known    types.UID

		doubt string
		then  types.UID
	}{
		"bound, and the snapshot is there":            {snapshot: "cut", then: uid},
		"not bound yet":                               {snapshot: "cut", pending: true},
		"another snapshot":                            {snapshot: "another", known: uid, doubt: "VolumeSnapshot snap was replaced by another", then: uid},
		"another snapshot, not bound yet":             {snapshot: "another", pending: true, doubt: "VolumeSnapshot snap was replaced by another"},
		"no snapshot any more, and nothing was known": {doubt: "VolumeSnapshot snap was deleted before its clone"},
		"no snapshot any more, known before":          {known: uid, then: uid},
		"no snapshot any more, another clone":         {known: "of an earlier clone", doubt: "was deleted before its clone", then: "of an earlier clone"},
		"no snapshot any more, not bound yet":         {pending: true, doubt: "was deleted before its clone"},
		"a clone of somebody else":                    {snapshot: "cut", owner: theirs},
		"no snapshot any more, its owner stripped":    {owner: theirs, known: uid, then: uid},
		"no snapshot any more, another owner's":       {owner: theirs, known: "of an earlier clone", doubt: "was deleted before its clone", then: "of an earlier clone"},
		"another clone, which is of it too":           {snapshot: "cut", known: "of an earlier clone", then: uid},
	} {
		clone := aClone("clone", ours)
		if c.owner != "" {
			clone = aClone("clone", c.owner)
		}
		if clone.Status.Phase = corev1.ClaimBound; c.pending {
			clone.Status.Phase = corev1.ClaimPending
		}
		m := moversThatSee(t, clone, c.snapshot)
		s := Source{Namespace: "shop", Snapshot: "snap", Clone: "clone", Owner: ours, Is: cut.Identity{UID: "cut"}, Proven: c.known}
		doubt, err := m.Prove(context.Background(), &s)
		if err != nil || !strings.Contains(doubt, c.doubt) || c.doubt == "" && doubt != "" || s.Proven != c.then {
			t.Errorf("%s: %q, known is %q: %v", name, doubt, s.Proven, err)
		}
	}
}

func moversThatSee(t *testing.T, clone *corev1.PersistentVolumeClaim, snapshot types.UID) *Movers {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, snapshotv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	there := fake.NewClientBuilder().WithScheme(scheme).WithObjects(clone)
	if snapshot != "" {
		snap := &snapshotv1.VolumeSnapshot{}
		snap.Namespace, snap.Name, snap.UID = "shop", "snap", snapshot
		there.WithObjects(snap)
	}
	return &Movers{Live: there.Build()}
}

func TestAMoverThatNeverStartsInTimeIsGivenMoreOfIt(t *testing.T) {
	now := time.Now()
	for before, limit := range map[int32]time.Duration{0: 10 * time.Minute, 1: 20 * time.Minute, 2: 40 * time.Minute, 4: 2 * time.Hour, 1000: 2 * time.Hour} {
		r := Run{Waits: "its pod starts", Since: now.Add(-limit)}
		if r.IsStuck(before, now) || !r.IsStuck(before, now.Add(time.Second)) {
			t.Errorf("after %d that didn't start, the limit isn't %s", before, limit)
		}
	}
}

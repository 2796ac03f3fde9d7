package cut

import (
	"strings"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// cutAndReady are a snapshot and its content, and the volume that has them on record.
func cutAndReady() (*v1alpha1.VolumeStatus, *snapshotv1.VolumeSnapshot, *snapshotv1.VolumeSnapshotContent) {
	snap := aSnapshot(func(s *snapshotv1.VolumeSnapshot) {
		s.Status = &snapshotv1.VolumeSnapshotStatus{BoundVolumeSnapshotContentName: ptr.To("snapcontent-u"), ReadyToUse: ptr.To(true)}
	})
	content := aContent(func(c *snapshotv1.VolumeSnapshotContent) {
		c.UID, c.Spec.Driver = "c", "d"
		c.Status = &snapshotv1.VolumeSnapshotContentStatus{SnapshotHandle: ptr.To("h")}
	})
	v := &v1alpha1.VolumeStatus{ClaimName: "data", SnapshotName: "s", Driver: "d"}
	Record(v, Observe(snap, content))
	return v, snap, content
}

func TestASnapshotIsTheOneOnRecord(t *testing.T) {
	type there struct {
		v       *v1alpha1.VolumeStatus
		snap    *snapshotv1.VolumeSnapshot
		content *snapshotv1.VolumeSnapshotContent
	}
	for name, c := range map[string]struct {
		change func(*there)
		says   string
	}{
		"as it was cut": {change: func(*there) {}},
		"another of its name": {func(t *there) {
			t.snap.UID, t.snap.Status.BoundVolumeSnapshotContentName = "v", nil
		}, "VolumeSnapshot s of claim data was replaced by another: the UID should be u and is v"},
		"with another content": {func(t *there) {
			t.snap.Status.BoundVolumeSnapshotContentName, t.content.Name = ptr.To("x"), "x"
		}, "VolumeSnapshotContent should be snapcontent-u and is x"},
		"with another content that isn't read": {func(t *there) {
			t.snap.Status.BoundVolumeSnapshotContentName, t.content = ptr.To("x"), nil
		}, "VolumeSnapshotContent should be snapcontent-u and is x"},
		"its content was made anew": {func(t *there) { t.content.UID = "x" }, "UID of its VolumeSnapshotContent should be c and is x"},
		"of another driver":         {func(t *there) { t.content.Spec.Driver = "x" }, "driver should be d and is x"},
		"of another copy":           {func(t *there) { t.content.Status.SnapshotHandle = ptr.To("x") }, "snapshotHandle should be h and is x"},
		"somebody else's content":   {change: func(t *there) { t.content.UID, t.content.Spec.VolumeSnapshotRef.UID = "x", "x" }},
		"its content is read alone": {func(t *there) { t.snap, t.content.UID = nil, "x" }, "UID of its VolumeSnapshotContent"},
		"nothing there":             {change: func(t *there) { t.snap, t.content = nil, nil }},
		"of a backup that records less": {change: func(t *there) {
			t.v.SnapshotUID, t.v.ContentUID, t.v.SnapshotHandle = "", "", ""
			t.content.UID, t.content.Status.SnapshotHandle = "x", ptr.To("x")
		}},
		"of a backup that records less, another": {func(t *there) {
			t.v.SnapshotUID, t.v.ContentUID, t.v.SnapshotHandle = "", "", ""
			t.snap.Status.BoundVolumeSnapshotContentName = ptr.To("snapcontent-x")
		}, "VolumeSnapshotContent should be snapcontent-u and is snapcontent-x"},
		"nothing is on record": {change: func(t *there) { t.v = &v1alpha1.VolumeStatus{} }},
	} {
		t.Run(name, func(t *testing.T) {
			var is there
			is.v, is.snap, is.content = cutAndReady()
			c.change(&is)
			o := ObserveRecorded(is.v, is.snap, is.content)
			if (o.Replaced != "") != (c.says != "") || !strings.Contains(o.Replaced, c.says) {
				t.Errorf("says %q, want %q", o.Replaced, c.says)
			}
			if o.Replaced != "" && (o.Exists || o.Cut || o.Ready) {
				t.Errorf("another one counts: %+v", o)
			}
		})
	}
}

// What is seen later never takes the place of what was recorded at the cut.
func TestARecordStays(t *testing.T) {
	v, _, _ := cutAndReady()
	want := Recorded(v)
	Record(v, Observed{Exists: true, Identity: Identity{UID: "x", ContentName: "x", ContentUID: "x", Driver: "x", Handle: "x"}})
	if got := Recorded(v); got != want {
		t.Errorf("%+v has become %+v", want, got)
	}
}

func TestStandings(t *testing.T) {
	const made = 3 // by the third attempt, of which nothing is on record
	b := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Name: "b", UID: "1"}}
	named := func(name, claim string, uid types.UID) *snapshotv1.VolumeSnapshot {
		s := &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid}}
		if claim != "" {
			s.Spec.Source.PersistentVolumeClaimName = &claim
		}
		return s
	}
	kept := Name("b", "1", "data", 1)
	b.Status.Volumes = []v1alpha1.VolumeStatus{{ClaimName: "data", SnapshotName: kept, SnapshotUID: "u"}}
	b.Status.Quiesce = &v1alpha1.QuiesceStatus{GroupSnapshotName: GroupName("b", "1", 1), GroupSnapshotUID: "g", GroupSnapshotHandle: "gh"}
	for name, c := range map[string]struct {
		snap  *snapshotv1.VolumeSnapshot
		group string
		want  Standing
	}{
		"the one on record":               {snap: named(kept, "data", "u"), want: StandingKept},
		"another in its place":            {snap: named(kept, "data", "x"), want: StandingOther},
		"of an attempt":                   {snap: named(Name("b", "1", "data", made), "data", "x"), want: StandingOrphan},
		"of an attempt, of a claim gone":  {snap: named(Name("b", "1", "old", made), "old", "x"), want: StandingOrphan},
		"of the last attempt there is":    {snap: named(Name("b", "1", "data", maxAttempts), "data", "x"), want: StandingOrphan},
		"of an attempt, of another claim": {snap: named(Name("b", "1", "data", made), "log", "x"), want: StandingOther},
		"of a backup of that name before": {snap: named(Name("b", "0", "data", made), "data", "x"), want: StandingOther},
		"with our marks alone":            {snap: named("mine", "data", "x"), want: StandingOther},
		"that isn't cut of a claim":       {snap: named(Name("b", "1", "", made), "", "x"), want: StandingOther},
		"of the group":                    {snap: named("snapshot-1", "log", "x"), group: "gh", want: StandingKept},
		"of another group":                {snap: named("snapshot-1", "log", "x"), group: "xh", want: StandingOther},
	} {
		if got := StandingOf(b, c.snap, c.group); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if !IsGroup(b, GroupName("b", "1", 1), "g") || IsGroup(b, GroupName("b", "1", 1), "x") || !IsGroup(b, GroupName("b", "1", made), "x") || IsGroup(b, "mine", "g") {
		t.Error("a group is the one on record, or has a name that an attempt gives")
	}
	b.Status.Quiesce.Failure = "late"
	if got := StandingOf(b, named("snapshot-1", "log", "x"), "gh"); got != StandingOther {
		t.Errorf("of a group that proves nothing: %s, it goes with that", got)
	}
}

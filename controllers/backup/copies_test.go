package backup

import (
	"testing"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A snapshot's status may name anybody's content.
func TestOnlyASnapshotsOwnContentIsItsCopy(t *testing.T) {
	snap := &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "snap", UID: "u"}}
	for name, c := range map[string]struct {
		ref corev1.ObjectReference
		is  bool
	}{
		"its own":                      {corev1.ObjectReference{Namespace: "shop", Name: "snap", UID: "u"}, true},
		"its own, of a group":          {corev1.ObjectReference{Namespace: "shop", Name: "snap"}, true},
		"of one before, of its name":   {corev1.ObjectReference{Namespace: "shop", Name: "snap", UID: "v"}, false},
		"for another one":              {corev1.ObjectReference{Namespace: "shop", Name: "other"}, false},
		"for one of another namespace": {corev1.ObjectReference{Namespace: "bank", Name: "snap"}, false},
	} {
		content := &snapshotv1.VolumeSnapshotContent{Spec: snapshotv1.VolumeSnapshotContentSpec{VolumeSnapshotRef: c.ref}}
		if isOf(content, snap) != c.is {
			t.Errorf("%s: %t", name, !c.is)
		}
	}
}

// An API server that has just started knows no roles yet.
func TestARightThatIsLackingForAMoment(t *testing.T) {
	var l lacking
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for after, isLasting := range []bool{0: false, 29: false, 30: true} {
		if l.isLasting("content", start.Add(time.Duration(after)*time.Second)) != isLasting {
			t.Errorf("after %d s: %t", after, !isLasting)
		}
	}
	if l.isLasting("content", start.Add(time.Hour)) {
		t.Error("once it counts it is counted anew")
	}
}

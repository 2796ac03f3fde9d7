package backup

import (
	"testing"

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

package cut

import (
	"slices"
	"strings"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestRetaining(t *testing.T) {
	class := func(name string, policy snapshotv1.DeletionPolicy) snapshotv1.VolumeSnapshotClass {
		return snapshotv1.VolumeSnapshotClass{ObjectMeta: metav1.ObjectMeta{Name: name}, DeletionPolicy: policy}
	}
	classes := []snapshotv1.VolumeSnapshotClass{class("keeps", "Retain"), class("goes", "Delete"), class("unused", "Retain")}
	volumes := []v1alpha1.VolumeStatus{{VolumeSnapshotClassName: "keeps"}, {VolumeSnapshotClassName: "goes"}, {VolumeSnapshotClassName: "keeps"}}
	if got := Retaining(classes, volumes); !slices.Equal(got, []string{"VolumeSnapshotClass keeps"}) {
		t.Errorf("got %v", got)
	}
	groups := []GroupClass{{ObjectMeta: metav1.ObjectMeta{Name: "keeps"}, DeletionPolicy: "Retain"}, {ObjectMeta: metav1.ObjectMeta{Name: "goes"}, DeletionPolicy: "Delete"}}
	if got := RetainingGroups(groups, "keeps"); !slices.Equal(got, []string{"VolumeGroupSnapshotClass keeps"}) {
		t.Errorf("got %v", got)
	}
	if got := RetainingGroups(groups, "goes"); got != nil {
		t.Errorf("got %v", got)
	}
	for policy, says := range map[v1alpha1.DeletionPolicy]string{"Delete": "once it is deleted", "Retain": "stay when it is deleted"} {
		if got := RetainingMessage([]string{"VolumeSnapshotClass keeps"}, policy); !strings.Contains(got, says) {
			t.Errorf("%s: %s", policy, got)
		}
	}
	if got := RetainingMessage(nil, "Delete"); got != "" {
		t.Errorf("got %q", got)
	}
}

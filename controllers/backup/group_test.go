package backup

import (
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

func TestTheVersionOfGroups(t *testing.T) {
	for name, c := range map[string]struct {
		served map[string][]string // kinds by version
		want   string
	}{
		"nothing":                  {},
		"both":                     {served: map[string][]string{"v1": {kindGroup, kindGroupContent, kindGroupClass}, "v1beta2": {kindGroup, kindGroupContent, kindGroupClass}}, want: "v1beta2"},
		"one":                      {served: map[string][]string{"v1": {kindGroup, kindGroupContent, kindGroupClass}}, want: "v1"},
		"one that isn't known":     {served: map[string][]string{"v1beta1": {kindGroup, kindGroupContent, kindGroupClass}}},
		"some of the kinds":        {served: map[string][]string{"v1beta2": {kindGroup, kindGroupClass}}},
		"some of the kinds of one": {served: map[string][]string{"v1beta2": {kindGroup}, "v1": {kindGroup, kindGroupContent, kindGroupClass}}, want: "v1"},
	} {
		t.Run(name, func(t *testing.T) {
			mapper := meta.NewDefaultRESTMapper(nil)
			for version, kinds := range c.served {
				for _, kind := range kinds {
					mapper.Add(schema.GroupVersionKind{Group: cut.GroupAPI, Version: version, Kind: kind}, meta.RESTScopeNamespace)
				}
			}
			if got, err := groupVersionIn(mapper); got != c.want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// A group that stays keeps its snapshots: who waited for them to go would wait
// for ever.
func TestTheSnapshotsOfAGroupStayWithIt(t *testing.T) {
	member := &snapshotv1.VolumeSnapshot{ObjectMeta: metav1.ObjectMeta{Name: "member", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: cut.GroupAPI + "/v1beta2", Kind: kindGroup, Name: "group"},
	}}}
	for name, c := range map[string]struct {
		policy  v1alpha1.DeletionPolicy
		quiesce v1alpha1.QuiesceStatus
		named   string
		want    bool
	}{
		"named":                      {v1alpha1.DeletionRetain, v1alpha1.QuiesceStatus{GroupSnapshotName: "group"}, "member", true},
		"not named yet":              {v1alpha1.DeletionRetain, v1alpha1.QuiesceStatus{GroupSnapshotName: "group"}, "", true},
		"of an attempt that failed":  {v1alpha1.DeletionRetain, v1alpha1.QuiesceStatus{GroupSnapshotName: "group", Failure: "late"}, "", false},
		"of an earlier attempt":      {v1alpha1.DeletionRetain, v1alpha1.QuiesceStatus{GroupSnapshotName: "another"}, "", false},
		"of no group":                {v1alpha1.DeletionRetain, v1alpha1.QuiesceStatus{}, "", false},
		"of a backup that takes all": {v1alpha1.DeletionDelete, v1alpha1.QuiesceStatus{GroupSnapshotName: "group"}, "member", false},
	} {
		b := &v1alpha1.VolumeBackup{}
		b.Spec.DeletionPolicy, b.Status.Quiesce = c.policy, &c.quiesce
		b.Status.Volumes = []v1alpha1.VolumeStatus{{ClaimName: "data", SnapshotName: c.named}}
		if got := (&run{VolumeBackup: b}).retains(member); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

package backup

import (
	"slices"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

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

// aGroup of the claims data and log, cut for a backup whose snapshots it doesn't name
// yet.
func aGroup(policy v1alpha1.DeletionPolicy) (*v1alpha1.VolumeBackup, *cut.Group) {
	b := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "b", UID: "1"}}
	b.Spec.DeletionPolicy = policy
	group := &cut.Group{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: cut.GroupName("b", "1", 1), UID: "g"}}
	b.Status.Quiesce = &v1alpha1.QuiesceStatus{GroupSnapshotName: group.Name, GroupSnapshotUID: group.UID, GroupSnapshotHandle: "group-1"}
	b.Status.Volumes = []v1alpha1.VolumeStatus{{ClaimName: "data", Driver: "d", SnapshotHandle: "copy-of-data"}, {ClaimName: "log", Driver: "d", SnapshotHandle: "copy-of-log"}}
	return b, group
}

// claimant is a snapshot that names the group as its owner, with its content: of a
// copy, and of a group or none by what the content says.
func claimant(name, claim, copy, group string) []client.Object {
	snap := &snapshotv1.VolumeSnapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name), OwnerReferences: []metav1.OwnerReference{
			{APIVersion: cut.GroupAPI + "/v1beta2", Kind: kindGroup, Name: cut.GroupName("b", "1", 1), UID: "g"},
		}},
		Spec: snapshotv1.VolumeSnapshotSpec{Source: snapshotv1.VolumeSnapshotSource{PersistentVolumeClaimName: &claim}},
	}
	content := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": cut.ContentName(snap), "uid": "uid-of-content-of-" + name},
		"spec": map[string]any{
			"driver": "d", "deletionPolicy": "Delete", "source": map[string]any{},
			"volumeSnapshotRef": map[string]any{"namespace": "shop", "name": name, "uid": string(snap.UID)},
		},
		"status": map[string]any{"snapshotHandle": copy},
	}}
	content.SetGroupVersionKind(snapshotv1.SchemeGroupVersion.WithKind("VolumeSnapshotContent"))
	if group != "" {
		_ = unstructured.SetNestedField(content.Object, group, "status", "volumeGroupSnapshotHandle")
	}
	return []client.Object{snap, content}
}

// inCluster is a run for a backup in a cluster of those objects, which serves groups.
func inCluster(t *testing.T, b *v1alpha1.VolumeBackup, objects ...client.Object) *run {
	t.Helper()
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(snapshotv1.SchemeGroupVersion, &snapshotv1.VolumeSnapshot{}, &snapshotv1.VolumeSnapshotList{})
	// The type of a content lacks the group's handle, which would be lost.
	for _, kind := range []schema.GroupVersionKind{
		snapshotv1.SchemeGroupVersion.WithKind("VolumeSnapshotContent"),
		{Group: cut.GroupAPI, Version: "v1beta2", Kind: kindGroupContent},
		{Group: cut.GroupAPI, Version: "v1beta2", Kind: kindGroup},
	} {
		scheme.AddKnownTypeWithName(kind, &unstructured.Unstructured{})
		scheme.AddKnownTypeWithName(kind.GroupVersion().WithKind(kind.Kind+"List"), &unstructured.UnstructuredList{})
	}
	group := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": cut.GroupContentName("g")},
		"status":   map[string]any{"volumeGroupSnapshotHandle": "group-1"},
	}}
	group.SetGroupVersionKind(schema.GroupVersionKind{Group: cut.GroupAPI, Version: "v1beta2", Kind: kindGroupContent})
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(group).WithObjects(objects...).Build()
	r := &Reconciler{Client: cluster, Live: cluster, groups: groupAPI{live: cluster, cache: cluster, version: "v1beta2"}}
	return &run{VolumeBackup: b, Reconciler: r}
}

// Whoever may write snapshots can write any owner reference on them.
func TestAForgedOwnerReferenceMakesNoMemberOfAGroup(t *testing.T) {
	b, group := aGroup(v1alpha1.DeletionDelete)
	w := inCluster(t, b, slices.Concat(
		claimant("a-forged", "data", "an-old-copy", ""),
		claimant("b-of-another-group", "data", "copy-of-data", "group-2"),
		claimant("c-of-another-copy", "data", "an-old-copy", "group-1"),
		claimant("d-true", "data", "copy-of-data", "group-1"),
		claimant("e-not-yet", "log", "", "group-1"),
	)...)
	found, err := (&groupCutter{run: w}).adopt(t.Context(), group)
	if err != nil || len(found) != 1 || found["data"] != "d-true" {
		t.Errorf("found are %v, %v", found, err)
	}
	var all snapshotv1.VolumeSnapshotList
	check(t, w.Live.List(t.Context(), &all))
	for _, snap := range all.Items {
		if isMarked := snap.Labels[v1alpha1.LabelBackupUID] != ""; isMarked != (snap.Name == "d-true") {
			t.Errorf("%s is marked as the backup's: %t", snap.Name, isMarked)
		}
	}
}

// A group that stays keeps its snapshots: who waited for them to go would wait
// for ever.
func TestTheSnapshotsOfAGroupStayWithIt(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*v1alpha1.VolumeBackup)
		group  string // by the content's word
		want   cut.Standing
	}{
		"named": {func(b *v1alpha1.VolumeBackup) {
			b.Status.Volumes[0].SnapshotName, b.Status.Volumes[0].SnapshotUID = "member", "uid-member"
		}, "", cut.StandingKept},
		"named, and replaced": {func(b *v1alpha1.VolumeBackup) {
			b.Status.Volumes[0].SnapshotName, b.Status.Volumes[0].SnapshotUID = "member", "before"
		}, "group-1", cut.StandingOther},
		"not named yet":             {func(*v1alpha1.VolumeBackup) {}, "group-1", cut.StandingKept},
		"not named, and forged":     {func(*v1alpha1.VolumeBackup) {}, "", cut.StandingOther},
		"of an attempt that failed": {func(b *v1alpha1.VolumeBackup) { b.Status.Quiesce.Failure = "late" }, "group-1", cut.StandingOther},
		"of an earlier attempt":     {func(*v1alpha1.VolumeBackup) {}, "group-0", cut.StandingOther},
		"of no group":               {func(b *v1alpha1.VolumeBackup) { b.Status.Quiesce = nil }, "group-1", cut.StandingOther},
	} {
		b, _ := aGroup(v1alpha1.DeletionRetain)
		c.change(b)
		objects := claimant("member", "data", "copy-of-data", c.group)
		got, err := inCluster(t, b, objects...).standingOf(t.Context(), objects[0].(*snapshotv1.VolumeSnapshot))
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

// Whoever may write a group can take its marks away. What is on record is known by its
// UID, and waited for and deleted as before; one of its name made anew isn't it.
func TestAGroupIsKnownWithoutItsMarks(t *testing.T) {
	for name, c := range map[string]struct {
		uid      types.UID // of the group that is there
		labels   map[string]string
		recorded types.UID
		isOwn    bool
	}{
		"as it was made":                   {uid: "g", labels: map[string]string{v1alpha1.LabelBackupUID: "1"}, recorded: "g", isOwn: true},
		"as it was made, not on record":    {uid: "g", labels: map[string]string{v1alpha1.LabelBackupUID: "1"}, isOwn: true},
		"without its marks":                {uid: "g", recorded: "g", isOwn: true},
		"without its marks, not on record": {uid: "g"},
		"made anew":                        {uid: "h", recorded: "g"},
		"made anew, with its marks":        {uid: "h", labels: map[string]string{v1alpha1.LabelBackupUID: "1"}, recorded: "g"},
	} {
		t.Run(name, func(t *testing.T) {
			b, group := aGroup(v1alpha1.DeletionDelete)
			b.Status.Quiesce.GroupSnapshotUID = c.recorded
			there := &unstructured.Unstructured{}
			there.SetGroupVersionKind(schema.GroupVersionKind{Group: cut.GroupAPI, Version: "v1beta2", Kind: kindGroup})
			there.SetNamespace("shop")
			there.SetName(group.Name)
			there.SetUID(c.uid)
			there.SetLabels(c.labels)
			w := inCluster(t, b, there)
			settled, err := w.cutter().settle(t.Context())
			if isLost := settled.lost != ""; err != nil || isLost == c.isOwn {
				t.Errorf("while it is waited for it is lost: %t, %v", isLost, err)
			}
			its, err := w.groups.ofBackup(t.Context(), w.Live, b)
			if goes := len(its) == 1; err != nil || goes != c.isOwn {
				t.Errorf("with its backup %d of the groups go, %v", len(its), err)
			}
		})
	}
}

package backup

import (
	"context"
	"errors"
	"slices"
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

// keptSnapshots is a source of snapshots whose backups are read from a fake cluster.
type keptSnapshots struct {
	*storeless
	*snapshots
	t       *testing.T
	cluster client.Client
}

func someSnapshots(t *testing.T) *keptSnapshots {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).Build()
	s := &snapshots{backups: cluster, waiters: newWaiters(), by: map[types.NamespacedName][]*snapshotv1.VolumeSnapshot{}}
	s.allBackups = func() (all []*v1alpha1.VolumeBackup, err error) {
		var list v1alpha1.VolumeBackupList
		err = cluster.List(t.Context(), &list)
		for i := range list.Items {
			all = append(all, &list.Items[i])
		}
		return all, err
	}
	return &keptSnapshots{storeless: sourceFor(t, s), snapshots: s, t: t, cluster: cluster}
}

// backup puts one into the cluster that names snapshots, and has ended or not.
func (k *keptSnapshots) backup(name string, ended bool, snapshots ...string) *v1alpha1.VolumeBackup {
	k.t.Helper()
	b := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name)}}
	for _, s := range snapshots {
		b.Status.Volumes = append(b.Status.Volumes, v1alpha1.VolumeStatus{SnapshotName: s})
	}
	if ended {
		b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
	}
	_ = k.cluster.Delete(k.t.Context(), b.DeepCopy())
	if err := k.cluster.Create(k.t.Context(), b.DeepCopy()); err != nil {
		k.t.Fatal(err)
	}
	return b
}

// orphanFor is the name of a snapshot that an attempt made of the claim data.
func orphanFor(b *v1alpha1.VolumeBackup) string { return cut.Name(b.Name, b.UID, "data", 1) }

func snapshotFor(b *v1alpha1.VolumeBackup, name string) *snapshotv1.VolumeSnapshot {
	return &snapshotv1.VolumeSnapshot{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: name, UID: types.UID("uid-" + name), Labels: labelsOf(b), Annotations: map[string]string{annotationBackup: b.Name}},
		Spec:       snapshotv1.VolumeSnapshotSpec{Source: snapshotv1.VolumeSnapshotSource{PersistentVolumeClaimName: ptr.To("data")}},
		Status:     &snapshotv1.VolumeSnapshotStatus{ReadyToUse: ptr.To(true)},
	}
}

func (k *keptSnapshots) has(b *v1alpha1.VolumeBackup, want ...string) {
	k.t.Helper()
	var have []string
	for _, snap := range k.of(b) {
		have = append(have, snap.Name)
	}
	if slices.Sort(have); !slices.Equal(have, want) {
		k.t.Errorf("of %s are kept %v, want %v", b.Name, have, want)
	}
}

// woken are the backups that are woken since it was asked last.
func (k *keptSnapshots) woken() []string {
	var woken []string
	for k.queue.Len() > 0 {
		request, _ := k.queue.Get()
		k.queue.Done(request)
		woken = append(woken, request.Name)
	}
	return woken
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A snapshot is kept until its backup has ended and names it.
func TestSnapshotsAreKeptWhileTheirBackupNeedsThem(t *testing.T) {
	k := someSnapshots(t)
	b, old := k.backup("b", false, "s1", "s2"), k.backup("old", true, "o1")
	check(t, k.Replace([]any{snapshotFor(b, "s1"), snapshotFor(b, "s2"), snapshotFor(b, orphanFor(b)), snapshotFor(old, "o1"), snapshotFor(old, orphanFor(old)), snapshotFor(old, "forged")}, "1"))
	check(t, k.WaitForSync(t.Context()))
	k.has(b, orphanFor(b), "s1", "s2")
	k.has(old, orphanFor(old))
	if woken := k.woken(); !slices.Equal(woken, []string{"b", "old"}) {
		t.Errorf("%v are woken: of those that have ended only who has something to do", woken)
	}
	check(t, k.Update(snapshotFor(old, "o1")))
	if woken := k.woken(); len(woken) > 0 {
		t.Errorf("%v are woken by what nothing has to be done about", woken)
	}
	ended := k.backup("b", true, "s1", "s2")
	k.settle(client.ObjectKeyFromObject(ended), ended)
	k.has(b, orphanFor(b))
	k.settle(client.ObjectKeyFromObject(old), &v1alpha1.VolumeBackup{})
	if len(k.by) != 1 {
		t.Errorf("of a backup that is gone are kept %v", k.by)
	}
}

// The end of a snapshot wakes its backup, also where it went while nobody watched.
func TestTheEndOfASnapshotWakesItsBackup(t *testing.T) {
	k := someSnapshots(t)
	b := k.backup("b", true, "s1", "s2")
	going := func(name string) *snapshotv1.VolumeSnapshot {
		snap := snapshotFor(b, name)
		snap.DeletionTimestamp = ptr.To(metav1.Now())
		return snap
	}
	check(t, k.Replace([]any{snapshotFor(b, "s1"), snapshotFor(b, "s2")}, "1"))
	k.has(b)
	check(t, k.Update(going("s1")))
	check(t, k.Update(going("s2")))
	k.has(b, "s1", "s2")
	k.woken()
	check(t, k.Delete(going("s1")))
	k.has(b, "s2")
	if woken := k.woken(); !slices.Equal(woken, []string{"b"}) {
		t.Errorf("%v are woken by a deletion", woken)
	}
	check(t, k.Replace(nil, "2"))
	k.has(b)
	if woken := k.woken(); !slices.Equal(woken, []string{"b"}) {
		t.Errorf("%v are woken by a deletion that nobody saw", woken)
	}
}

// One that was made for a backup of the same name, which is gone, is another's.
func TestASnapshotOfAnotherBackupOfTheSameName(t *testing.T) {
	k := someSnapshots(t)
	before := k.backup("b", true, "s")
	before.UID = "before"
	b := k.backup("b", true, "s")
	check(t, k.Add(snapshotFor(before, "s")))
	k.has(b)
	k.has(before, "s")
	var snap snapshotv1.VolumeSnapshot
	key := client.ObjectKey{Namespace: "shop", Name: "s"}
	if err := (watched{snapshots: k.snapshots, backup: b}).Get(t.Context(), key, &snap); err == nil {
		t.Error("a backup reads another's snapshot as its own")
	}
	if err := (watched{snapshots: k.snapshots, backup: before}).Get(t.Context(), key, &snap); err != nil || snap.Name != "s" {
		t.Errorf("its own isn't read: %v", err)
	}
}

// One whose backup this manager doesn't look after, and one that was settled and stays,
// are nobody's matter.
func TestSnapshotsOfNobodyHereWakeNobody(t *testing.T) {
	k := someSnapshots(t)
	ended := k.backup("ended", true, "s")
	check(t, k.Add(snapshotFor(ended, "s")))
	k.backups = elsewhere{}
	check(t, k.Add(snapshotFor(ended, "other")))
	check(t, k.Delete(snapshotFor(ended, "other")))
	if woken := k.woken(); len(woken) > 0 || len(k.by) > 0 {
		t.Errorf("%v are woken, %v are kept", woken, k.by)
	}
}

// elsewhere is the cache of a manager of other namespaces.
type elsewhere struct{ client.Reader }

func (elsewhere) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("unknown namespace for the cache")
}

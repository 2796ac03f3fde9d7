package framework

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// StorageClassName names the class of the suites' claims, empty for the
// cluster's default.
func StorageClassName() string { return fromEnvironment("LULL_TEST_STORAGE_CLASS", "") }

// StorageClass is the class of the suites' claims. Its provisioner is the driver
// that they run on.
func (c *Cluster) StorageClass(ctx context.Context) (*storagev1.StorageClass, error) {
	class := &storagev1.StorageClass{}
	if name := StorageClassName(); name != "" {
		return class, c.Get(ctx, client.ObjectKey{Name: name}, class)
	}
	var all storagev1.StorageClassList
	if err := c.List(ctx, &all); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all.Items, func(s storagev1.StorageClass) bool {
		return s.Annotations["storageclass.kubernetes.io/is-default-class"] == "true"
	})
	if i < 0 {
		return nil, errors.New("the cluster has no default storage class: name one in LULL_TEST_STORAGE_CLASS")
	}
	return &all.Items[i], nil
}

// SimilarStorageClass is a new class like that of the suites' claims. The caller
// changes it and creates it.
func (c *Cluster) SimilarStorageClass(ctx context.Context) (*storagev1.StorageClass, error) {
	class, err := c.StorageClass(ctx)
	if err != nil {
		return nil, err
	}
	class.ObjectMeta = metav1.ObjectMeta{GenerateName: "lull-test-"}
	return class, nil
}

// SnapshotClass is a new class of snapshots of a driver, with that driver's
// parameters. It says that the driver cuts at one instant, unless a parameter
// asks the test driver for something else.
func SnapshotClass(driver string, parameters map[string]string) *snapshotv1.VolumeSnapshotClass {
	class := &snapshotv1.VolumeSnapshotClass{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "lull-test-"}, Driver: driver,
		DeletionPolicy: snapshotv1.VolumeSnapshotContentDelete, Parameters: parameters,
	}
	if parameters["mode"] == "" {
		class.Annotations = map[string]string{v1alpha1.MarkCopiesFiles: "false"}
	}
	return class
}

// Parameters are those of a class, from pairs of a name and a value.
func Parameters(pairs ...string) map[string]string {
	set := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		set[pairs[i]] = pairs[i+1]
	}
	return set
}

// Snapshots are those in a namespace.
func (c *Cluster) Snapshots(ctx context.Context, namespace string) ([]snapshotv1.VolumeSnapshot, error) {
	var all snapshotv1.VolumeSnapshotList
	err := c.List(ctx, &all, client.InNamespace(namespace))
	return all.Items, err
}

// SnapshotContents are those of snapshots in a namespace, whether these are
// there or not.
func (c *Cluster) SnapshotContents(ctx context.Context, namespace string) ([]snapshotv1.VolumeSnapshotContent, error) {
	var all snapshotv1.VolumeSnapshotContentList
	err := c.List(ctx, &all)
	return slices.DeleteFunc(all.Items, func(s snapshotv1.VolumeSnapshotContent) bool {
		return s.Spec.VolumeSnapshotRef.Namespace != namespace
	}), err
}

// ReleaseKept gives the volumes that a restore keeps their reclaim policy back.
func (c *Cluster) ReleaseKept(ctx context.Context, r *v1alpha1.VolumeRestore) error {
	var kept corev1.PersistentVolumeList
	if err := c.List(ctx, &kept, client.MatchingLabels{v1alpha1.LabelRestoreUID: string(r.UID)}); err != nil {
		return err
	}
	for i := range kept.Items {
		if err := client.IgnoreNotFound(c.Merge(ctx, &kept.Items[i], `{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}`)); err != nil {
			return err
		}
	}
	return nil
}

// copies is where the driver of this project's cluster keeps what it has cut.
const copies = "/var/lib/lull-cluster/csi/pool/snapshots"

// Copies are all that the driver has cut and not deleted: what it was asked to call
// each, by its handle. canTell is false where the storage is that of another
// cluster, which nobody looks into.
func Copies() (names map[string]string, canTell bool, err error) {
	records, err := filepath.Glob(filepath.Join(copies, "*.json"))
	if _, missing := os.Stat(copies); err != nil || missing != nil {
		return nil, false, err
	}
	names = map[string]string{}
	for _, path := range records {
		var record struct{ Name string }
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted since
		}
		if err := errors.Join(err, json.Unmarshal(text, &record)); err != nil {
			return nil, true, err
		}
		names[strings.TrimSuffix(filepath.Base(path), ".json")] = record.Name
	}
	return names, true, nil
}

// HasCopy is true for a handle whose copy is in the storage. canTell is false
// where the storage is that of another cluster, which nobody looks into.
func HasCopy(handle string) (has, canTell bool) {
	if _, err := os.Stat(copies); err != nil {
		return false, false
	}
	_, err := os.Stat(filepath.Join(copies, handle+".img"))
	return !errors.Is(err, fs.ErrNotExist), true
}

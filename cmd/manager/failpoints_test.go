//go:build failpoints

package main

import (
	"testing"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

func TestFailpointsAreNamedByFunctions(t *testing.T) {
	const module = "github.com/lull-dev/lull/"
	for function, want := range map[string]string{
		module + "controllers.(*VolumeBackupReconciler).begin":        "VolumeBackup.begin",
		module + "controllers.save":                                   "save",
		module + "controllers/restore.(*Reconciler).swap":             "restore.swap",
		module + "controllers/restore.Reconciler.swap.func2.1":        "restore.swap",
		module + "controllers/backup.(*attempt).run-range1":           "backup.attempt.run",
		module + "controllers/backup.(*attempt).run.gowrap1":          "backup.attempt.run",
		module + "controllers/reconcile.(*Loop[...]).save":            "reconcile.Loop.save",
		module + "controllers/reconcile.Save[...].func1":              "reconcile.Save",
		module + "hooks.quietPod.runHook-fm":                          "hooks.quietPod.runHook",
		module + "snapshot.Next":                                      "",
		"sigs.k8s.io/controller-runtime/pkg/internal/controllers.Run": "",
	} {
		if name := nameOf(function); name != want {
			t.Errorf("%s is named %q and should be %q", function, name, want)
		}
	}
}

func TestWritesByTheSameFunctionsAreToldApart(t *testing.T) {
	for want, obj := range map[string]client.Object{
		"VolumeBackup":            &v1alpha1.VolumeBackup{},
		"VolumeBackup Completed":  &v1alpha1.VolumeBackup{Status: v1alpha1.VolumeBackupStatus{Phase: v1alpha1.PhaseCompleted}},
		"VolumeRestore Preparing": &v1alpha1.VolumeRestore{Status: v1alpha1.VolumeRestoreStatus{Phase: v1alpha1.RestorePreparing}},
		"SnapshotPolicy":          &v1alpha1.SnapshotPolicy{},
		"SnapshotPolicy RetentionHeld": &v1alpha1.SnapshotPolicy{Status: v1alpha1.SnapshotPolicyStatus{Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRetentionHeld},
		}}},
		"VolumeSnapshot":        &snapshotv1.VolumeSnapshot{},
		"PersistentVolumeClaim": &corev1.PersistentVolumeClaim{},
		"VolumeGroupSnapshot":   &unstructured.Unstructured{Object: map[string]any{"kind": "VolumeGroupSnapshot"}},
	} {
		if said := described(obj); said != want {
			t.Errorf("described as %q and should be as %q", said, want)
		}
	}
}

func TestPatchesByTheSameFunctionsAreToldApart(t *testing.T) {
	volume := &corev1.PersistentVolume{}
	for patch, want := range map[string]string{
		`{"spec":{"persistentVolumeReclaimPolicy":"Retain"},"metadata":{"labels":{"lull.dev/restore":"monday"}}}`: "PersistentVolume: metadata.labels.lull.dev/restore, spec.persistentVolumeReclaimPolicy=Retain",
		`{"spec":{"claimRef":null,"replicas":0,"volumes":[{"name":"a"}]}}`:                                        "PersistentVolume: spec.claimRef=<nil>, spec.replicas=0, spec.volumes",
		`{"metadata":{"annotations":{"restored.lull.dev/monday":"then"}}}`:                                        "PersistentVolume: metadata.annotations.restored.lull.dev/",
		`[{"op":"remove","path":"/spec"}]`:                                                                        "PersistentVolume",
	} {
		if said := patched(volume, client.RawPatch(types.MergePatchType, []byte(patch))); said != want {
			t.Errorf("%s is described as %q", patch, said)
		}
	}
}

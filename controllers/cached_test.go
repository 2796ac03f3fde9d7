package controllers

import (
	"reflect"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
)

// long is what anybody may write into an annotation or a message.
var long = strings.Repeat("x", 100<<10)

// heavy is the metadata of an object whose owner writes as much into it as is taken.
func heavy(annotation string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "shop", Name: "x", UID: "1", ResourceVersion: "7", Generation: 3,
		Annotations:     map[string]string{annotation: long, v1alpha1.AnnotationPolicy: long, v1alpha1.AnnotationRunNow: "1"},
		ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "kubectl", FieldsV1: metav1.NewFieldsV1(`{"f:x":"` + long + `"}`)}},
		OwnerReferences: []metav1.OwnerReference{{Kind: "VolumeBackup", Name: "b", UID: "2"}},
	}
}

// What the cache keeps of an object is small, whatever its owner writes into it: it is
// kept for each object of the cluster.
func TestWhatTheCacheKeepsIsSmall(t *testing.T) {
	const applied = corev1.LastAppliedConfigAnnotation
	claims := []v1alpha1.RestoredClaim{{ClaimName: "data", Shape: v1alpha1.ClaimShape{Annotations: map[string]string{"a": long}}}}
	pods := corev1.PodSpec{
		Containers: []corev1.Container{{Name: "db", Args: []string{long}}},
		Volumes: []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
			VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"a": long}}},
		}}}},
	}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: long}}
	for name, c := range map[string]struct {
		kind client.Object
		// obj is what the API server has of it, where that is only its metadata.
		obj client.Object
	}{
		"a backup": {kind: &v1alpha1.VolumeBackup{ObjectMeta: heavy(applied), Spec: v1alpha1.VolumeBackupSpec{BackupSettings: v1alpha1.BackupSettings{
			Quiesce: &v1alpha1.QuiesceSpec{Hold: &v1alpha1.HookCommand{Command: []string{long}}},
		}}}},
		"a restore":    {kind: &v1alpha1.VolumeRestore{ObjectMeta: heavy(applied), Status: v1alpha1.VolumeRestoreStatus{Claims: claims}}},
		"a Job":        {kind: &batchv1.Job{ObjectMeta: heavy(applied), Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: pods}}}},
		"a pod":        {kind: &corev1.Pod{ObjectMeta: heavy(applied), Spec: pods, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "db", State: ended}}}}},
		"a pod's name": {kind: &corev1.Pod{}, obj: &metav1.PartialObjectMetadata{ObjectMeta: heavy(applied)}},
		"a claim":      {kind: &corev1.PersistentVolumeClaim{}, obj: &metav1.PartialObjectMetadata{ObjectMeta: heavy(applied)}},
		"a namespace":  {kind: &corev1.Namespace{}, obj: &metav1.PartialObjectMetadata{ObjectMeta: heavy(applied)}},
	} {
		obj := c.kind
		if c.obj != nil {
			obj = c.obj
		}
		kept := keptOf(t, c.kind, obj)
		if size := limits.Bytes(kept); size > 1<<10 {
			t.Errorf("of %s %d bytes are kept", name, size)
		}
		if m := kept.(client.Object); m.GetName() != "x" || m.GetUID() != "1" || m.GetResourceVersion() != "7" {
			t.Errorf("of %s it isn't kept which it is: %+v", name, m)
		}
	}
	if owner := keptOf(t, &batchv1.Job{}, &batchv1.Job{ObjectMeta: heavy(applied)}).(client.Object).GetOwnerReferences(); len(owner) != 1 {
		t.Errorf("whose a Job is isn't kept: %v", owner)
	}
	group := &unstructured.Unstructured{}
	group.SetAnnotations(heavy(applied).Annotations)
	group.SetAPIVersion("groupsnapshot.storage.k8s.io/v1")
	group.SetKind("VolumeGroupSnapshot")
	if size := limits.Bytes(keptOf(t, group, group)); size > 1<<10 {
		t.Errorf("of a group %d bytes are kept", size)
	}
	for _, whole := range []client.Object{&v1alpha1.SnapshotPolicy{ObjectMeta: heavy(applied)}, &v1alpha1.ResticRepository{ObjectMeta: heavy(applied)}} {
		kept := keptOf(t, whole, whole).(client.Object)
		if size := limits.Bytes(kept); size > 1<<10 || kept.GetAnnotations()[v1alpha1.AnnotationRunNow] != "1" {
			t.Errorf("of %T %d bytes are kept, and %v", whole, size, kept.GetAnnotations())
		}
	}
}

// keptOf is what the manager's cache keeps of an object of a kind.
func keptOf(t *testing.T, kind, obj client.Object) any {
	t.Helper()
	options, err := CacheOptions(&rest.Config{Host: "https://127.0.0.1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	keep := options.DefaultTransform
	for of, by := range options.ByObject {
		if reflect.TypeOf(of) == reflect.TypeOf(kind) && by.Transform != nil {
			keep = by.Transform
		}
	}
	kept, err := keep(obj.DeepCopyObject())
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

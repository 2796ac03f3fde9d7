package resticexport

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// Paths of a snapshot in the cluster are copied by a mover without restic and
// without a repository: from a clone of the snapshot into a new claim.

// FillCloneName is the claim that is made from a snapshot for paths of it to be
// copied.
func FillCloneName(r *v1alpha1.VolumeRestore, claim string) string {
	return names.Unique("paths-"+claim, "clone", string(r.UID), claim)
}

// FillClones are the claims that a restore's paths are copied from, by their names, each
// with its UID where that is on record.
func FillClones(r *v1alpha1.VolumeRestore) map[string]types.UID {
	all := map[string]types.UID{}
	for _, c := range r.Status.Claims {
		if c.Fill != nil && c.Fill.Clone != nil {
			all[FillCloneName(r, c.ClaimName)] = c.Fill.CloneUID
		}
	}
	return all
}

// FillClone is that claim. No policy takes it for an application.
func FillClone(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim) *corev1.PersistentVolumeClaim {
	labels := LabelsOfFill(r)
	labels[v1alpha1.LabelManagedBy] = v1alpha1.ManagedBy
	labels[v1alpha1.LabelClaim] = names.LabelValue(c.ClaimName)
	return cloned(metav1.ObjectMeta{
		Namespace: r.Namespace, Name: FillCloneName(r, c.ClaimName), Labels: labels,
		OwnerReferences: []metav1.OwnerReference{OwnerOfFill(r)},
	}, c.SnapshotName, c.Fill.Clone)
}

// cloned is a claim that is made from a snapshot.
func cloned(meta metav1.ObjectMeta, snapshot string, shape *v1alpha1.ClaimShape) *corev1.PersistentVolumeClaim {
	meta.Annotations = map[string]string{v1alpha1.AnnotationBackup: "false"}
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: meta,
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: shape.AccessModes, VolumeMode: shape.VolumeMode, StorageClassName: shape.StorageClassName,
			DataSource: &corev1.TypedLocalObjectReference{APIGroup: ptr.To("snapshot.storage.k8s.io"), Kind: "VolumeSnapshot", Name: snapshot},
			Resources:  corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: shape.Size}},
		},
	}
}

func copyJobName(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim) string {
	return JobName("copy", c.ClaimName, string(r.UID), fmt.Sprint(c.Fill.Attempts))
}

// CopyJob is the Job of the next attempt to copy paths into a claim. Each attempt
// has a Job of its own: one that ran is never changed. Without a repository there is
// nobody to say how its pod is to be, so nodes admit it as they admit the
// application's pods.
func CopyJob(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, into string, as Reading) JobInput {
	labels := LabelsOfFill(r)
	labels[v1alpha1.LabelClaim] = names.LabelValue(c.ClaimName)
	return JobInput{
		Name:      copyJobName(r, c),
		Namespace: r.Namespace, Labels: labels,
		Spec:        &v1alpha1.ResticRepositorySpec{Mover: v1alpha1.MoverSpec{Tolerations: as.Tolerations}},
		Application: ptr.Deref(r.Status.Application, v1alpha1.ApplicationReference{}),
		Source:      FillCloneName(r, c.ClaimName), Target: into, IsInUse: r.Spec.Target.TargetPath != "",
		User: as.User, Groups: as.Groups, FSGroup: as.FSGroup, Privileged: as.Privileged,
		Task: Task{Copy: &Copy{Paths: r.Spec.Source.Paths, Into: r.Spec.Target.TargetPath}},
	}
}

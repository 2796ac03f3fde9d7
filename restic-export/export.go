package resticexport

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/names"
)

// Host is what snapshots of an application have as their host in a repository:
// the same for each backup, so that restic finds the one before.
func Host(namespace string, app v1alpha1.ApplicationReference) string {
	return namespace + "/" + app.Name
}

// CloneName is the claim that is made from a snapshot to be exported.
func CloneName(b *v1alpha1.VolumeBackup, claim string) string {
	return names.Unique("export-"+claim, "clone", string(b.UID), claim)
}

// Clone is that claim. It is like the one that was backed up, and no policy takes
// it for an application.
func Clone(b *v1alpha1.VolumeBackup, v *v1alpha1.VolumeStatus) *corev1.PersistentVolumeClaim {
	was := ptr.Deref(v.Claim, v1alpha1.BackedUpClaim{})
	modes := was.AccessModes
	if len(modes) == 0 {
		modes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	}
	return cloned(metav1.ObjectMeta{
		Namespace: b.Namespace, Name: CloneName(b, v.ClaimName), Labels: exportLabels(b, v.ClaimName),
		OwnerReferences: []metav1.OwnerReference{OwnerOfExport(b)},
	}, v.SnapshotName, &v1alpha1.ClaimShape{
		AccessModes: modes, VolumeMode: was.VolumeMode, StorageClassName: was.StorageClassName,
		Size: largest(was.Size, was.Capacity, v.RestoreSize),
	})
}

func largest(sizes ...*resource.Quantity) resource.Quantity {
	var most resource.Quantity
	for _, s := range sizes {
		if s != nil && s.Cmp(most) > 0 {
			most = *s
		}
	}
	return most
}

// OwnerOfExport has Kubernetes take along what is made for an export, however the
// backup goes.
func OwnerOfExport(b *v1alpha1.VolumeBackup) metav1.OwnerReference { return Owner(b, "VolumeBackup") }

// Owner is an object as the owner of what works for it. It holds up nobody's
// deletion.
func Owner(of metav1.Object, kind string) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: kind, Name: of.GetName(), UID: of.GetUID(), Controller: ptr.To(true),
	}
}

func exportLabels(b *v1alpha1.VolumeBackup, claim string) map[string]string {
	return map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
		v1alpha1.LabelBackup:    names.LabelValue(b.Name),
		v1alpha1.LabelClaim:     names.LabelValue(claim),
	}
}

// ExportJobName is what the Job of the next attempt to export a claim is called, which
// may be under way.
func ExportJobName(b *v1alpha1.VolumeBackup, v *v1alpha1.VolumeStatus) string {
	return JobName("export", v.ClaimName, string(b.UID), fmt.Sprint(attemptsOf(v)))
}

// ExportJob is the Job of the next attempt to export a claim. Each attempt has a
// Job of its own: one that ran is never changed.
func ExportJob(b *v1alpha1.VolumeBackup, v *v1alpha1.VolumeStatus, r *v1alpha1.ResticRepository, as Reading) JobInput {
	isDevice := v.Claim != nil && ptr.Deref(v.Claim.VolumeMode, "") == corev1.PersistentVolumeBlock
	var limit int64
	if r.Spec.Mover.UploadLimit != nil {
		limit = r.Spec.Mover.UploadLimit.Value()
	}
	return JobInput{
		Name:        ExportJobName(b, v),
		Namespace:   b.Namespace,
		Labels:      exportLabels(b, v.ClaimName),
		Repository:  r.Name,
		Spec:        &r.Spec,
		Source:      CloneName(b, v.ClaimName),
		IsDevice:    isDevice,
		Application: b.Spec.ApplicationRef,
		User:        as.User, Groups: as.Groups, Privileged: as.Privileged,
		Task: Task{Backup: &Backup{
			Host: Host(b.Namespace, b.Spec.ApplicationRef), Claim: v.ClaimName,
			BackupUID: b.UID, Of: len(b.Status.Volumes), Policy: b.Labels[v1alpha1.LabelPolicy], Time: cutTime(b, v),
			AllowEmpty: b.Spec.Export != nil && b.Spec.Export.AllowEmpty,
			Device:     isDevice, UploadLimit: limit, ReadConcurrency: r.Spec.Mover.ReadConcurrency,
		}},
	}
}

// ParentIn is the ID of what another backup has exported of a claim into the
// repository that a backup goes to, empty where there is none.
func ParentIn(other, b *v1alpha1.VolumeBackup, claim string) string {
	if other.Spec.Export == nil || b.Spec.Export == nil || other.Spec.Export.RepositoryRef != b.Spec.Export.RepositoryRef {
		return ""
	}
	for _, v := range other.Status.Volumes {
		if v.ClaimName == claim && v.Export != nil && ids.MatchString(v.Export.SnapshotID) {
			return v.Export.SnapshotID
		}
	}
	return ""
}

// cutTime is when a volume was cut: asOf speaks of the data, not of the upload.
func cutTime(b *v1alpha1.VolumeBackup, v *v1alpha1.VolumeStatus) time.Time {
	if v.CreationTime != nil {
		return v.CreationTime.UTC()
	}
	return b.Status.Quiesce.CutAt.UTC()
}

func attemptsOf(v *v1alpha1.VolumeStatus) int32 {
	return ptr.Deref(v.Export, v1alpha1.ExportStatus{}).Attempts
}

// RecordExport writes what an attempt came to.
func RecordExport(e *v1alpha1.ExportStatus, result Result, now time.Time) {
	at := metav1.NewTime(now)
	e.Attempts, e.LastAttemptTime = e.Attempts+1, &at
	if e.NotStarted++; result.Cause != CauseNotStarted {
		e.NotStarted = 0
	}
	if result.Done && result.Backup == nil {
		result = Result{Cause: CauseNotVerified, Message: "the mover named no snapshot"}
	}
	if !result.Done {
		e.Message = fmt.Sprintf("%s: %s", result.Cause, result.Message)
		if result.Leftover != "" {
			e.Message += fmt.Sprintf(" (snapshot %.8s of it is left in the repository: restic forget %.8s)", result.Leftover, result.Leftover)
		}
		return
	}
	made := result.Backup
	e.SnapshotID, e.Message = made.SnapshotID, ""
	e.Files = v1alpha1.ExportedFiles{New: made.FilesNew, Changed: made.FilesChanged, Unmodified: made.FilesUnmodified}
	e.Processed = resource.NewQuantity(made.BytesProcessed, resource.BinarySI)
	e.Uploaded = resource.NewQuantity(made.BytesUploaded, resource.BinarySI)
	e.Duration = &metav1.Duration{Duration: time.Duration(result.Seconds * float64(time.Second)).Round(time.Millisecond)}
}

// NotStarted is what an attempt has come to whose pod doesn't start. waits says why.
func NotStarted(waits string) Result {
	return Result{Cause: CauseNotStarted, Message: "its mover has not started, and others have its place now: " + waits}
}

// MendOfExport is what to do about an export that no other try mends, as a sentence
// after a space, empty where the message says it.
func MendOfExport(result Result, repository string) string {
	switch {
	case result.Cause == CauseSourceUnreadable && strings.Contains(result.Message, "permission denied"):
		return fmt.Sprintf(" Write the user that the files belong to into spec.mover.securityContext.runAsUser of ResticRepository %s. Where they belong to root or to several, set spec.mover.privileged there, and have an administrator annotate the namespace with %s=true.",
			repository, v1alpha1.AnnotationPrivilegedMovers)
	case result.Cause == CauseEmpty:
		return fmt.Sprintf(" If it is to be exported all the same, write export.allowEmpty: true; to leave it out, name it in the annotation %s of the pod template.", v1alpha1.AnnotationExcludeVolumes)
	}
	return ""
}

// NextExportAt is when an export that failed is tried again. One whose pod didn't start
// leaves its place to others for as long as it had it, and ever longer.
func NextExportAt(e *v1alpha1.ExportStatus, now time.Time) time.Time {
	if e.NotStarted > 0 {
		return nextAfter(e.LastAttemptTime, e.NotStarted, now, firstTurn, maxTurn)
	}
	return NextAttempt(e.LastAttemptTime, e.Attempts, now)
}

// What the network did is tried again after ten seconds, and ever later.
const (
	firstDelay = 10 * time.Second
	maxDelay   = 10 * time.Minute
	firstTurn  = 10 * time.Minute
	maxTurn    = time.Hour
)

// NextAttempt is when a task is tried again of which so many attempts failed. One in
// the future, by a clock that was wrong, holds nothing up.
func NextAttempt(last *metav1.Time, attempts int32, now time.Time) time.Time {
	return nextAfter(last, attempts, now, firstDelay, maxDelay)
}

func nextAfter(last *metav1.Time, attempts int32, now time.Time, first, most time.Duration) time.Time {
	if last == nil || last.After(now) {
		return time.Time{}
	}
	delay := first
	for ; attempts > 1 && delay < most; attempts-- {
		delay *= 2
	}
	return last.Add(min(delay, most))
}

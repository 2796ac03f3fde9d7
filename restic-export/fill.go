package resticexport

import (
	"cmp"
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

// OwnerOfFill has Kubernetes take along what is made for a restore, however it
// goes.
func OwnerOfFill(r *v1alpha1.VolumeRestore) metav1.OwnerReference { return Owner(r, "VolumeRestore") }

// LabelsOfFill are on all Jobs of a restore.
func LabelsOfFill(r *v1alpha1.VolumeRestore) map[string]string {
	return map[string]string{
		v1alpha1.LabelRestore:    names.LabelValue(r.Name),
		v1alpha1.LabelRestoreUID: string(r.UID),
	}
}

// FindJob is the Job that finds what a restore is from.
func FindJob(r *v1alpha1.VolumeRestore, repository *v1alpha1.ResticRepository) JobInput {
	source := r.Spec.Source.Repository
	find := &Find{SnapshotID: source.SnapshotID}
	if find.SnapshotID == "" {
		find.Host = hostOf(r)
		if source.Claim != "" {
			find.Claims = []string{string(source.Claim)}
		}
		if source.AsOf != nil {
			find.AsOf = ptr.To(source.AsOf.UTC())
		}
	}
	return JobInput{
		Name: JobName("find", r.Name, string(r.UID)), Namespace: r.Namespace,
		Labels: LabelsOfFill(r), Repository: repository.Name, Spec: &repository.Spec,
		Task: Task{Find: find}, Deadline: findLimit,
	}
}

// findLimit bounds a look into a repository with very many snapshots.
const findLimit = 10 * time.Minute

// hostOf is the application whose backup is asked for, as snapshots name it.
func hostOf(r *v1alpha1.VolumeRestore) string {
	application := r.Spec.Source.Repository.Application
	switch {
	case application == "":
		return Host(r.Namespace, ptr.Deref(r.Spec.Target.ApplicationRef, v1alpha1.ApplicationReference{}))
	case !strings.Contains(application, "/"):
		return r.Namespace + "/" + application
	}
	return application
}

// FoundBackup is what a Find has found. It is a Problem where that can't be
// restored as asked.
func FoundBackup(r *v1alpha1.VolumeRestore, found []FoundSnapshot) (*v1alpha1.FoundBackup, error) {
	source := r.Spec.Source.Repository
	if len(found) == 0 {
		return nil, v1alpha1.Problemf(v1alpha1.ReasonNotFoundThere, "the look into repository %s told of no snapshot: name one by spec.source.repository.snapshotID", source.Ref.Name)
	}
	b := v1alpha1.FoundBackup{Repository: source.Ref.Name, Application: hostOf(r)}
	for _, s := range found {
		snapshot := v1alpha1.RepositorySnapshot{
			ClaimName: s.Claim, SnapshotID: s.SnapshotID, Time: metav1.NewTime(s.Time), Size: *resource.NewQuantity(s.Bytes, resource.BinarySI),
		}
		if s.Device {
			snapshot.VolumeMode = corev1.PersistentVolumeBlock
		}
		b.Application, b.BackupUID = cmp.Or(s.Host, b.Application), s.BackupUID
		asked := string(source.Claim)
		switch isOurs := s.BackupUID != ""; {
		case isOurs && asked != "" && s.Claim != "" && asked != s.Claim:
			return nil, v1alpha1.Problemf(v1alpha1.ReasonNotFoundThere,
				"snapshot %.8s is of claim %s, and spec.source.repository.claim names %s: leave that out, and give the new claim a name by spec.target.claims", s.SnapshotID, s.Claim, asked)
		case snapshot.ClaimName == "" && asked == "":
			return nil, v1alpha1.Problemf(v1alpha1.ReasonNotFoundThere,
				"snapshot %.8s of %s wasn't made by Lull: write the claim that it becomes into spec.source.repository.claim", s.SnapshotID, s.Host)
		case snapshot.ClaimName == "":
			snapshot.ClaimName = asked
		}
		// What another tool wrote holds the path that it was made of.
		if s.BackupUID == "" && len(s.Paths) == 1 && s.Paths[0] != "/" && !s.IsFile {
			snapshot.Folder = s.Paths[0]
		}
		b.Snapshots = append(b.Snapshots, snapshot)
	}
	return &b, nil
}

// FillJobNames are what the Jobs of the next attempts to fill the claims of a restore
// are called, which may be under way.
func FillJobNames(r *v1alpha1.VolumeRestore) (all []string) {
	for i := range r.Status.Claims {
		if c := &r.Status.Claims[i]; c.Fill != nil {
			all = append(all, fillJobName(r, c), copyJobName(r, c))
		}
	}
	return all
}

func fillJobName(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim) string {
	return JobName("fill", c.ClaimName, string(r.UID), fmt.Sprint(c.Fill.Attempts))
}

// FillJob is the Job of the next attempt to fill a claim. Each attempt has a Job of
// its own: one that ran is never changed.
func FillJob(r *v1alpha1.VolumeRestore, c *v1alpha1.RestoredClaim, into string, repository *v1alpha1.ResticRepository, as Reading) JobInput {
	isDevice := ptr.Deref(c.Shape.VolumeMode, "") == corev1.PersistentVolumeBlock
	task := &Restore{SnapshotID: c.Fill.SnapshotID, Device: isDevice}
	if !isDevice {
		task.Paths, task.Delete = r.Spec.Source.Paths, len(r.Spec.Source.Paths) == 0
		task.Folder, task.Into = folderOf(r, c.ClaimName), r.Spec.Target.TargetPath
	}
	labels := LabelsOfFill(r)
	labels[v1alpha1.LabelClaim] = names.LabelValue(c.ClaimName)
	return JobInput{
		Name:      fillJobName(r, c),
		Namespace: r.Namespace, Labels: labels, Repository: repository.Name, Spec: &repository.Spec,
		Application: ptr.Deref(r.Status.Application, v1alpha1.ApplicationReference{}),
		Target:      into, IsDevice: isDevice, IsInUse: r.Spec.Target.TargetPath != "",
		User: as.User, Groups: as.Groups, FSGroup: as.FSGroup, Privileged: as.Privileged,
		Task: Task{Restore: task},
	}
}

func folderOf(r *v1alpha1.VolumeRestore, claim string) string {
	for _, s := range r.Status.Found.Snapshots {
		if s.ClaimName == claim {
			return s.Folder
		}
	}
	return ""
}

// RecordFill writes what an attempt came to.
func RecordFill(f *v1alpha1.ClaimFill, result Result, now time.Time) {
	at := metav1.NewTime(now)
	f.Attempts, f.LastAttemptTime, f.Message = f.Attempts+1, &at, ""
	if !result.Done {
		f.Message = fmt.Sprintf("%s: %s", result.Cause, result.Message)
		return
	}
	f.FilledAt = &at
	f.Duration = &metav1.Duration{Duration: time.Duration(result.Seconds * float64(time.Second)).Round(time.Millisecond)}
	if written := result.Restore; written != nil {
		f.Files, f.Bytes = written.Files, written.Bytes
	}
}

// NextFillAt is when a fill that failed is tried again.
func NextFillAt(f *v1alpha1.ClaimFill, now time.Time) time.Time {
	return NextAttempt(f.LastAttemptTime, f.Attempts, now)
}

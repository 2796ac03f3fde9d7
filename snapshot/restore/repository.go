package restore

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/cut"
)

// IsFromRepository is true for a restore whose claims are filled from a repository:
// where its source is one, or a backup that is in one alone. The others are made
// from snapshots.
func IsFromRepository(r *v1alpha1.VolumeRestore) bool { return RepositoryOf(r) != "" }

// RepositoryOf is the repository that a restore is from, empty for none.
func RepositoryOf(r *v1alpha1.VolumeRestore) string {
	if r.Spec.Source.Repository != nil {
		return r.Spec.Source.Repository.Ref.Name
	}
	if r.Status.Found != nil {
		return r.Status.Found.Repository
	}
	return ""
}

// SourceOf is what a restore is from, for people.
func SourceOf(r *v1alpha1.VolumeRestore) string {
	if IsFromRepository(r) {
		return "ResticRepository " + RepositoryOf(r)
	}
	return "VolumeBackup " + r.Status.Source
}

// FoundSource is how status.source names what a repository has.
func FoundSource(repository string, found *v1alpha1.FoundBackup) string {
	return fmt.Sprintf("%s/%.8s", repository, found.Snapshots[0].SnapshotID)
}

// OnlyExported is what a repository has of a backup that is in it alone, and the
// backup without the snapshots that it had. Of any other backup it is nil.
func OnlyExported(b *v1alpha1.VolumeBackup) (*v1alpha1.FoundBackup, *v1alpha1.VolumeBackup) {
	if !cut.IsOnlyExported(b) || b.Spec.Export == nil {
		return nil, b
	}
	b = b.DeepCopy()
	found := &v1alpha1.FoundBackup{Repository: b.Spec.Export.RepositoryRef.Name, Application: b.Namespace + "/" + b.Spec.ApplicationRef.Name, BackupUID: b.UID}
	for i := range b.Status.Volumes {
		v := &b.Status.Volumes[i]
		v.SnapshotName, v.SnapshotUID, v.ContentName, v.ContentUID, v.SnapshotHandle = "", "", "", "", ""
		if v.Claim == nil || ptr.Deref(v.Claim.VolumeMode, "") != corev1.PersistentVolumeBlock {
			v.RestoreSize = nil // files need as much as they are
		}
		if v.Export == nil {
			continue
		}
		s := v1alpha1.RepositorySnapshot{ClaimName: v.ClaimName, SnapshotID: v.Export.SnapshotID, Size: ptr.Deref(v.Export.Processed, resource.Quantity{})}
		if v.CreationTime != nil {
			s.Time = *v.CreationTime
		}
		if v.Claim != nil {
			s.VolumeMode = ptr.Deref(v.Claim.VolumeMode, "")
		}
		found.Snapshots = append(found.Snapshots, s)
	}
	return found, b
}

// BackupIn is what was found in a repository, as a backup that is complete.
func BackupIn(r *v1alpha1.VolumeRestore) *v1alpha1.VolumeBackup {
	found := r.Status.Found
	b := &v1alpha1.VolumeBackup{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: r.Status.Source}}
	b.Spec.ApplicationRef = applicationIn(r)
	b.Status.Phase = v1alpha1.PhaseCompleted
	b.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionTrue}}
	for i := range found.Snapshots {
		s := &found.Snapshots[i]
		v := v1alpha1.VolumeStatus{ClaimName: s.ClaimName, Export: &v1alpha1.ExportStatus{SnapshotID: s.SnapshotID}}
		if modeThere(s) == corev1.PersistentVolumeBlock {
			v.RestoreSize = &s.Size
		}
		b.Status.Volumes = append(b.Status.Volumes, v)
	}
	return b
}

// applicationIn is the application that was backed up. A repository knows no kinds:
// it is taken to be of that of the one that is restored.
func applicationIn(r *v1alpha1.VolumeRestore) v1alpha1.ApplicationReference {
	if target := r.Spec.Target.ApplicationRef; target != nil {
		_, name, _ := strings.Cut(r.Status.Found.Application, "/")
		return v1alpha1.ApplicationReference{Kind: target.Kind, Name: name}
	}
	return v1alpha1.ApplicationReference{Kind: v1alpha1.KindPersistentVolumeClaim, Name: r.Status.Found.Snapshots[0].ClaimName}
}

// modeThere is the mode of the volume that a snapshot in a repository is of.
func modeThere(s *v1alpha1.RepositorySnapshot) corev1.PersistentVolumeMode {
	if s.VolumeMode == corev1.PersistentVolumeBlock {
		return corev1.PersistentVolumeBlock
	}
	return corev1.PersistentVolumeFilesystem
}

// snapshotThere is the snapshot in the repository of a claim of the backup, nil for
// a restore that isn't from one.
func snapshotThere(r *v1alpha1.VolumeRestore, claim string) *v1alpha1.RepositorySnapshot {
	if r.Status.Found == nil {
		return nil
	}
	for i := range r.Status.Found.Snapshots {
		if s := &r.Status.Found.Snapshots[i]; s.ClaimName == claim {
			return s
		}
	}
	return nil
}

// roomFor is the size of a volume for so many bytes of files, where nothing else
// tells: a file system needs something for itself. A device has the bytes that it
// has.
func roomFor(s *v1alpha1.RepositorySnapshot) resource.Quantity {
	size := s.Size.Value()
	if modeThere(s) == corev1.PersistentVolumeFilesystem && size > 0 {
		size += size/5 + 64<<20
	}
	const mebi = 1 << 20
	return *resource.NewQuantity((size+mebi-1)/mebi*mebi, resource.BinarySI)
}

// modelThere is a claim of which nothing is known but what the repository has.
func (in *Input) modelThere(s *v1alpha1.RepositorySnapshot) *corev1.PersistentVolumeClaim {
	mode := modeThere(s)
	return &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		StorageClassName: in.usualClass(),
		VolumeMode:       &mode,
		Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: roomFor(s)}},
	}}
}

// fill has the claims filled by movers, and waits until they are. What it waits for
// is observed when it is this step's turn.
func (s *State) fill() Need {
	if len(s.Filling) == 0 {
		return Need{}
	}
	return Need{Wait: &Wait{
		Before: "fills the claims from " + SourceOf(s.Restore) + ": ", For: s.Filling, After: "; the application runs",
		Condition: v1alpha1.ConditionClaimsFilled, ConditionReason: v1alpha1.ReasonFilling,
		Until: s.fillingSince().Add(s.FillTimeout), LateSays: true, Every: fillDelay,
		Late: v1alpha1.Problem{Reason: v1alpha1.ReasonFillFailed, Message: fmt.Sprintf("the claims were not filled within %s: ", s.FillTimeout)},
	}}
}

// fillDelay is how soon it is looked again at what no watch tells of.
const fillDelay = 5 * time.Second

// fillingSince is when the claims could be filled: since the new ones were seen to
// mount, or since the step was begun where they were there already.
func (s *State) fillingSince() time.Time {
	if mounted := s.condition(v1alpha1.ConditionClaimsReady); mounted != nil {
		return mounted.LastTransitionTime.Time
	}
	if status := &s.Restore.Status; status.Step == string(StepFill) && status.StepSince != nil {
		return status.StepSince.Time
	}
	return s.Now
}

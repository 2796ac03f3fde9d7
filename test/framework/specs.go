package framework

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/restore"
)

// Change is what is special about a backup.
type Change = func(*v1alpha1.VolumeBackupSpec)

// NewBackup is a backup of that application. Its name begins with the
// application's; the caller creates it.
func NewBackup(namespace string, of v1alpha1.ApplicationReference, changes ...Change) *v1alpha1.VolumeBackup {
	b := &v1alpha1.VolumeBackup{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: of.Name + "-"},
		Spec:       v1alpha1.VolumeBackupSpec{ApplicationRef: of},
	}
	for _, change := range changes {
		change(&b.Spec)
	}
	return b
}

// Hold has the backup quiet its application by a script that holds it.
func Hold(script string) Change {
	return func(s *v1alpha1.VolumeBackupSpec) { Quiesce(s).Hold = Shell(script) }
}

// Hooks has the backup quiet its application by one script and let it go by
// another.
func Hooks(pre, post string) Change {
	return func(s *v1alpha1.VolumeBackupSpec) { Quiesce(s).Pre, Quiesce(s).Post = Shell(pre), Shell(post) }
}

// Within bounds the time in which the application is quieted.
func Within(d time.Duration) Change {
	return func(s *v1alpha1.VolumeBackupSpec) { Quiesce(s).Timeout = &metav1.Duration{Duration: d} }
}

// OrContinue has the backup go on without quiet where there can be none.
func OrContinue(s *v1alpha1.VolumeBackupSpec) { Quiesce(s).OnFailure = v1alpha1.OnFailureContinue }

// Attempts bounds their number.
func Attempts(n int32) Change {
	return func(s *v1alpha1.VolumeBackupSpec) { s.Attempts = n }
}

// Retained has the snapshots outlive the backup.
func Retained(s *v1alpha1.VolumeBackupSpec) { s.DeletionPolicy = v1alpha1.DeletionRetain }

// Outliving has the copies in the storage outlive the namespace of the backup.
func Outliving(s *v1alpha1.VolumeBackupSpec) { s.DeletionPolicy = v1alpha1.DeletionOrphan }

// OfClass has the snapshots be of a VolumeSnapshotClass.
func OfClass(name string) Change {
	return func(s *v1alpha1.VolumeBackupSpec) { s.VolumeSnapshotClassName = &name }
}

// OfGroupClass has the volumes cut as a group, of a VolumeGroupSnapshotClass.
func OfGroupClass(name string) Change {
	return func(s *v1alpha1.VolumeBackupSpec) { s.VolumeGroupSnapshotClassName = &name }
}

// Quiesce is that part of the spec, which is made where it isn't there.
func Quiesce(s *v1alpha1.VolumeBackupSpec) *v1alpha1.QuiesceSpec {
	if s.Quiesce == nil {
		s.Quiesce = &v1alpha1.QuiesceSpec{}
	}
	return s.Quiesce
}

// Shell is a script as a command.
func Shell(script string) *v1alpha1.HookCommand {
	return &v1alpha1.HookCommand{Command: []string{"/bin/sh", "-c", script}}
}

// BackupIs is true where a condition of the backup is.
func BackupIs(b *v1alpha1.VolumeBackup, condition string) bool {
	return meta.IsStatusConditionTrue(b.Status.Conditions, condition)
}

// RestoreIs is true where a condition of the restore is.
func RestoreIs(r *v1alpha1.VolumeRestore, condition string) bool {
	return meta.IsStatusConditionTrue(r.Status.Conditions, condition)
}

// BackupEnded is true for a backup that is complete or has failed.
func BackupEnded(b *v1alpha1.VolumeBackup) bool {
	return BackupIs(b, v1alpha1.ConditionComplete) || BackupIs(b, v1alpha1.ConditionFailed)
}

// RestoreEnded is true for a restore that is complete or has failed, and is not
// on its way back.
func RestoreEnded(r *v1alpha1.VolumeRestore) bool { return restore.Ended(r) }

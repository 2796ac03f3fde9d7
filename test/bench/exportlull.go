package main

import (
	"context"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// cut begins a backup and waits until its snapshot is ready. Its repository isn't
// there yet, so that it is exported once that is made, and not before: bare restic
// may read the same snapshot first.
func (e *exporting) cut(ctx context.Context, f *exportFigures, into *v1alpha1.ResticRepository) (*v1alpha1.VolumeBackup, error) {
	backup := framework.NewBackup(e.namespace, f.Ref(), exportedTo(into))
	if err := e.Create(ctx, backup); err != nil {
		return nil, err
	}
	return backup, e.awaitBackup(ctx, backup, v1alpha1.ConditionSnapshotsReady)
}

func exportedTo(r *v1alpha1.ResticRepository) framework.Change {
	return func(s *v1alpha1.VolumeBackupSpec) {
		s.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: r.Name}}
	}
}

func (e *exporting) awaitBackup(ctx context.Context, backup *v1alpha1.VolumeBackup, condition string) error {
	return await(ctx, fmt.Sprintf("%s of backup %s", condition, backup.Name), func(ctx context.Context) error {
		if err := e.Get(ctx, client.ObjectKeyFromObject(backup), backup); err != nil {
			return err
		}
		if framework.BackupIs(backup, condition) {
			return nil
		}
		return errors.New(backup.Status.Message)
	})
}

// export has a backup exported that waits for its repository.
func (e *exporting) export(ctx context.Context, backup *v1alpha1.VolumeBackup, into *v1alpha1.ResticRepository) (jobRun, error) {
	ran, err := e.timed(ctx, movesFor(backup), func(ctx context.Context) error { return e.Create(ctx, into) })
	if err != nil {
		return ran, errors.Join(err, e.said(ctx, backup), e.said(ctx, into))
	}
	if ran.memory == 0 {
		return ran, errors.New("the mover's memory was not seen: exports are measured on the cluster's only node, by root")
	}
	return ran, e.awaitBackup(ctx, backup, v1alpha1.ConditionComplete)
}

// exportUnchanged backs the same volume up and exports it once more. Where restic
// has read a file again the time is of something else.
func (e *exporting) exportUnchanged(ctx context.Context, f *exportFigures, into *v1alpha1.ResticRepository) (jobRun, error) {
	backup := framework.NewBackup(e.namespace, f.Ref(), exportedTo(into))
	ran, err := e.timed(ctx, movesFor(backup), func(ctx context.Context) error { return e.Create(ctx, backup) })
	if err != nil {
		return ran, errors.Join(err, e.said(ctx, backup))
	}
	if err := e.awaitBackup(ctx, backup, v1alpha1.ConditionComplete); err != nil {
		return ran, err
	}
	if files := backup.Status.Volumes[0].Export.Files; files.New+files.Changed > 0 {
		return ran, fmt.Errorf("nothing has changed, and restic found %d files new and %d changed", files.New, files.Changed)
	}
	return ran, nil
}

// restoreExport restores an export into a new claim, which is then deleted.
func (e *exporting) restoreExport(ctx context.Context, f *exportFigures, from *v1alpha1.ResticRepository, backup *v1alpha1.VolumeBackup) (jobRun, error) {
	volume, claim := backup.Status.Volumes[0], f.claim(from.Name+"-restored")
	size := f.size()
	restore := &v1alpha1.VolumeRestore{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, GenerateName: "bench-"},
		Spec: v1alpha1.VolumeRestoreSpec{
			Source: v1alpha1.RestoreSource{Repository: &v1alpha1.RepositorySource{
				Ref: v1alpha1.RepositoryReference{Name: from.Name}, SnapshotID: volume.Export.SnapshotID,
			}},
			Target: v1alpha1.RestoreTarget{
				Strategy: v1alpha1.StrategyClaimsOnly, Size: &size,
				Claims: map[string]v1alpha1.ClaimName{volume.ClaimName: v1alpha1.ClaimName(claim.Name)},
			},
		},
	}
	ran, err := e.timed(ctx, movesFor(restore), func(ctx context.Context) error { return e.Create(ctx, restore) })
	if err != nil {
		return ran, errors.Join(err, e.said(ctx, restore))
	}
	err = await(ctx, "the restore is complete", func(ctx context.Context) error {
		if err := e.Get(ctx, client.ObjectKeyFromObject(restore), restore); err != nil {
			return err
		}
		if framework.RestoreIs(restore, v1alpha1.ConditionComplete) {
			return nil
		}
		return errors.New(restore.Status.Message)
	})
	if err != nil {
		return ran, err
	}
	if err := e.removeAll(ctx, restore); err != nil {
		return ran, err
	}
	return ran, e.removeAll(ctx, claim)
}

// movesFor picks the Job that moves the data of a claim for an object. A restore has
// another one, which finds what is restored and moves nothing.
func movesFor(owner metav1.Object) func(*batchv1.Job) bool {
	return func(job *batchv1.Job) bool {
		return metav1.IsControlledBy(job, owner) && job.Labels[v1alpha1.LabelClaim] != ""
	}
}

// said is what an object says of itself, as an error: why there was nothing to
// measure.
func (e *exporting) said(ctx context.Context, o client.Object) error {
	if err := e.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
		return err
	}
	message := ""
	switch o := o.(type) {
	case *v1alpha1.VolumeBackup:
		message = o.Status.Message
	case *v1alpha1.VolumeRestore:
		message = o.Status.Message
	case *v1alpha1.ResticRepository:
		message = o.Status.Message
	}
	return fmt.Errorf("%T %s: %s", o, o.GetName(), message)
}

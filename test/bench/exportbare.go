package main

import (
	"context"
	"errors"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/test/framework"
)

// exportBare backs a clone of the same snapshot up by restic alone. The repository
// is made before, as it is for an export.
func (e *exporting) exportBare(ctx context.Context, backup *v1alpha1.VolumeBackup, into *v1alpha1.ResticRepository) (jobRun, error) {
	if _, err := e.runRestic(ctx, e.jobIn(into, "init"), "init"); err != nil {
		return jobRun{}, err
	}
	return e.backUpBare(ctx, backup, into, "backup")
}

// backUpBare backs a clone of a snapshot up into a repository that is there. The host
// is the same each time, so that restic finds what it has made before.
func (e *exporting) backUpBare(ctx context.Context, backup *v1alpha1.VolumeBackup, into *v1alpha1.ResticRepository, task string) (jobRun, error) {
	clone := framework.ClaimFrom(e.namespace, into.Name+"-"+task, backup.Status.Volumes[0])
	if err := e.Create(ctx, clone); err != nil {
		return jobRun{}, err
	}
	in := e.jobIn(into, task)
	in.Source = clone.Name
	ran, err := e.runRestic(ctx, in, "backup", "--host=bare", "--exclude="+resticexport.DataPath+"/"+resticexport.LostAndFound, ".")
	if err != nil {
		return ran, err
	}
	return ran, e.removeAll(ctx, clone)
}

// restoreBare restores that by restic alone, into a new claim. A short Job mounts
// the claim before: a restore proves that its claims mount, and so its mover finds
// them bound.
func (e *exporting) restoreBare(ctx context.Context, f *exportFigures, from *v1alpha1.ResticRepository) (jobRun, error) {
	claim := f.claim(from.Name + "-restored")
	if err := e.Create(ctx, claim); err != nil {
		return jobRun{}, err
	}
	mount, restore := e.jobIn(from, "mount"), e.jobIn(from, "restore")
	mount.Target, restore.Target = claim.Name, claim.Name
	if _, err := e.runRestic(ctx, mount, "version"); err != nil {
		return jobRun{}, err
	}
	ran, err := e.runRestic(ctx, restore, "restore", "latest", "--target="+resticexport.DataPath, "--verify", "--sparse")
	if err != nil {
		return ran, err
	}
	return ran, e.removeAll(ctx, claim)
}

// jobIn is a mover's Job in a repository, for a task of bare restic's.
func (e *exporting) jobIn(r *v1alpha1.ResticRepository, task string) resticexport.JobInput {
	return resticexport.JobInput{
		Name: r.Name + "-" + task, Namespace: e.namespace, Repository: r.Name, Spec: &r.Spec, Image: e.image,
	}
}

// runRestic runs a Job that is as a mover's in everything but its command, which is
// restic itself, and removes it.
func (e *exporting) runRestic(ctx context.Context, in resticexport.JobInput, arguments ...string) (jobRun, error) {
	job := resticexport.Job(in)
	job.Labels, job.Spec.Template.Labels = nil, nil // it is none of the operator's
	c := &job.Spec.Template.Spec.Containers[0]
	c.Command, c.Args = []string{resticexport.ResticPath}, arguments
	c.TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	if in.Source+in.Target != "" {
		c.WorkingDir = resticexport.DataPath
	}
	isIt := func(seen *batchv1.Job) bool { return seen.UID == job.UID }
	ran, err := e.timed(ctx, isIt, func(ctx context.Context) error { return e.Create(ctx, job) })
	if err != nil {
		return ran, fmt.Errorf("restic %s: %w", arguments[0], err)
	}
	return ran, e.removeAll(ctx, job)
}

// removeAll deletes objects, and waits until they are gone with all that is theirs.
func (b *bench) removeAll(ctx context.Context, objects ...client.Object) error {
	for _, o := range objects {
		if err := b.Delete(ctx, o, client.PropagationPolicy(metav1.DeletePropagationForeground)); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return await(ctx, "what was made is gone", func(ctx context.Context) error {
		for _, o := range objects {
			if err := b.Get(ctx, client.ObjectKeyFromObject(o), o); client.IgnoreNotFound(err) != nil || err == nil {
				return errors.Join(err, fmt.Errorf("%T %s is there", o, o.GetName()))
			}
		}
		return nil
	})
}

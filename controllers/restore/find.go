package restore

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/names"
	"github.com/lull-dev/lull/snapshot/restore"
)

// findDelay is how soon it is looked again at what no watch tells of.
const findDelay = 5 * time.Second

// find looks into a repository for what is to be restored, and writes it down.
func (w *run) find(ctx context.Context) reconcile.Outcome {
	source := w.Object.Spec.Source.Repository
	if source == nil || w.Object.Status.Found != nil || w.Object.Status.Strategy != "" {
		return reconcile.Skip()
	}
	name := source.Ref.Name
	repository, waits, err := mover.Repository(ctx, w.Live, w.Object.Namespace, name)
	switch {
	case apierrors.IsNotFound(err):
		return reconcile.Stall(v1alpha1.PassingProblemf(v1alpha1.ReasonRepositoryNotReady, "%s: kubectl get resticrepository shows those that are", waits))
	case err != nil:
		return reconcile.Retry(err)
	case waits != "":
		return w.notFoundYet(ctx, waits)
	}
	job := resticexport.FindJob(w.Object, repository)
	looked, err := w.Movers.Run(ctx, job, resticexport.OwnerOfFill(w.Object), mover.Place{Kind: mover.Beside})
	if err != nil {
		return reconcile.Failed(err)
	}
	if !looked.Ended {
		if looked.Waits == "" {
			looked.Waits = "looks into repository " + name
		}
		return w.notFoundYet(ctx, looked.Waits)
	}
	if err := w.Movers.Doubt(ctx, repository, looked.Result, w.Now()); err != nil {
		return reconcile.Retry(err)
	}
	if looked.Result.Done {
		if w.Object.Status.Found, err = resticexport.FoundBackup(w.Object, looked.Result.Snapshots); err == nil {
			w.Object.Status.Source = restore.FoundSource(name, w.Object.Status.Found)
			err = w.Save(ctx)
		}
	}
	if _, removing := w.Movers.Remove(ctx, w.Object.Namespace, job.Name); removing != nil {
		return reconcile.Retry(removing)
	}
	switch result := looked.Result; {
	case err != nil:
		return reconcile.Failed(err)
	case result.Done:
		return reconcile.Skip()
	case result.Cause.Again():
		return w.notFoundYet(ctx, fmt.Sprintf("%s: %s", result.Cause, result.Message))
	case result.Cause == resticexport.CauseNotFound:
		return reconcile.Stall(v1alpha1.Problemf(v1alpha1.ReasonNotFoundThere, "%s. %s", result.Message, whatWasThere(repository)))
	default:
		return reconcile.Stall(v1alpha1.Problemf(v1alpha1.ReasonRepositoryNotReady, "repository %s could not be looked into: %s: %s", name, result.Cause, result.Message))
	}
}

// whatWasThere says whose backups a repository had when it was last looked at. One
// that has none at all may be the wrong one: where there is none it is made.
func whatWasThere(r *v1alpha1.ResticRepository) string {
	c := r.Status.Contents
	if c == nil || len(c.Hosts) == 0 {
		return "At the last look it had no backup of any application: see that spec.backend of ResticRepository " + r.Name + " names the right place"
	}
	return fmt.Sprintf("At the last look it had backups of %s, of which spec.source.repository.application names one. restic snapshots shows all that it has", names.List(c.Hosts))
}

// notFoundYet says what the look waits for, until that takes too long.
func (w *run) notFoundYet(ctx context.Context, waits string) reconcile.Outcome {
	left := w.Object.Status.StartTime.Add(w.Options.ClaimTimeout).Sub(w.Now())
	if left > 0 {
		w.Working(v1alpha1.ReasonFinding, "%s", waits)
		return reconcile.Wait(min(left, findDelay))
	}
	if _, err := w.endMoversOf(ctx); err != nil {
		return reconcile.Retry(err)
	}
	return reconcile.Stall(v1alpha1.Problemf(v1alpha1.ReasonRepositoryNotReady, "the backup was not found within %s: %s", w.Options.ClaimTimeout, waits))
}

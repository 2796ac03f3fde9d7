package restore

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/restore"
)

// fill brings the filling of the claims on, all at once as far as the repository
// has places, and observes what it waits for.
func (w *run) fill(ctx context.Context, state *restore.State) error {
	name := restore.RepositoryOf(w.Object)
	repository, waits, err := mover.Repository(ctx, w.Live, w.Object.Namespace, name)
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	if waits != "" {
		state.Filling = []string{waits}
		return nil
	}
	as, err := w.fillAs(ctx, repository)
	if err != nil {
		return err
	}
	for i := range w.Object.Status.Claims {
		c := &w.Object.Status.Claims[i]
		waits, err := w.fillClaim(ctx, c, repository, as)
		if err != nil {
			return err
		}
		if waits != "" {
			state.Filling = append(state.Filling, c.ClaimName+": "+waits)
		}
	}
	if len(state.Filling) > 0 {
		return nil
	}
	gone, err := w.endMoversOf(ctx) // a volume may be one that only one pod can have
	if err == nil && !gone {
		state.Filling = []string{"their movers are gone in a moment"}
	}
	return err
}

// fillAs is as whom the claims are written.
func (w *run) fillAs(ctx context.Context, repository *v1alpha1.ResticRepository) (resticexport.Reading, error) {
	application := ptr.Deref(w.Object.Status.Application, v1alpha1.ApplicationReference{})
	return w.Movers.As(ctx, w.Object.Namespace, application, repository)
}

// fillClaim brings the filling of one claim on, and says what it waits for. What
// another try can't mend is a Problem.
func (w *run) fillClaim(ctx context.Context, c *v1alpha1.RestoredClaim, repository *v1alpha1.ResticRepository, as resticexport.Reading) (waits string, err error) {
	if c.Fill.FilledAt != nil {
		return "", nil
	}
	if next := resticexport.NextFillAt(c.Fill); next.After(w.Now()) {
		return fmt.Sprintf("tries again at %s after %s", next.UTC().Format(time.TimeOnly+" MST"), c.Fill.Message), nil
	}
	in := resticexport.FillJob(w.Object, c, restore.NewClaimName(c), repository, as)
	moved, err := w.Movers.Run(ctx, in, resticexport.OwnerOfFill(w.Object), mover.Place{Kind: mover.Shared, Most: repository.Spec.Concurrency})
	if err != nil {
		return "", err
	}
	if !moved.Ended {
		c.Fill.Message = moved.Waits
		if moved.Waits == "" {
			return "is written", nil
		}
		return moved.Waits, nil
	}
	resticexport.RecordFill(c.Fill, moved.Result, w.Now())
	if err := w.Save(ctx); err != nil {
		return "", err
	}
	noteFill(moved.Result)
	if _, err := w.Movers.Remove(ctx, w.Object.Namespace, in.Name); err != nil {
		return "", err
	}
	if result := moved.Result; !result.Done && !result.Cause.Again() {
		return "", v1alpha1.Problemf(v1alpha1.ReasonFillFailed, "claim %s could not be filled from repository %s: %s: %s", c.ClaimName, repository.Name, result.Cause, result.Message)
	}
	return c.Fill.Message, nil
}

// endMovers ends the movers of a restore that is undone, before its claims go: they
// would hold them.
func (w *run) endMovers(ctx context.Context) reconcile.Outcome {
	v := w.Object
	if !restore.IsFromRepository(v) || v.Status.RollBack == nil || isTrue(v, v1alpha1.ConditionClaimsFilled) {
		return reconcile.Skip()
	}
	gone, err := w.endMoversOf(ctx)
	if err != nil {
		return reconcile.Retry(err)
	}
	if !gone {
		w.Working(v1alpha1.ReasonRollingBack, "ends the movers that fill its claims")
		return reconcile.Wait(lookEvery)
	}
	return reconcile.Skip()
}

// endMoversOf removes the Jobs of a restore. It is true once all of them are gone.
func (w *run) endMoversOf(ctx context.Context) (gone bool, err error) {
	var jobs batchv1.JobList
	if err := w.Live.List(ctx, &jobs, client.InNamespace(w.Object.Namespace), client.MatchingLabels{v1alpha1.LabelRestoreUID: string(w.Object.UID)}); err != nil {
		return false, err
	}
	for i := range jobs.Items {
		if _, err := w.Movers.Remove(ctx, w.Object.Namespace, jobs.Items[i].Name); err != nil {
			return false, err
		}
	}
	return len(jobs.Items) == 0, nil
}

// warnOfOwners tells before anything is made that files come back as somebody
// else's.
func (w *run) warnOfOwners(ctx context.Context) error {
	if !restore.IsFromRepository(w.Object) {
		return nil
	}
	name := restore.RepositoryOf(w.Object)
	repository, waits, err := mover.Repository(ctx, w.Live, w.Object.Namespace, name)
	if err != nil || waits != "" {
		return client.IgnoreNotFound(err)
	}
	as, err := w.fillAs(ctx, repository)
	if err != nil || as.Privileged {
		return err
	}
	w.RecordOnceSaved(eventWarned(restore.Warning{Reason: v1alpha1.ReasonOwnersNotRestored, Message: fmt.Sprintf(
		"the mover isn't privileged: every file will belong to user %d, whoever owned it. Where the application needs other owners, set spec.mover.privileged of ResticRepository %s, and have an administrator annotate the namespace with %s=true",
		as.ID(), name, v1alpha1.AnnotationPrivilegedMovers)}))
	return nil
}

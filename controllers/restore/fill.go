package restore

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/cut"
	"github.com/lull-dev/lull/snapshot/restore"
)

// fill brings the filling of the claims on, all at once as far as the repository
// has places, and observes what it waits for. Paths of a snapshot need no
// repository.
func (w *run) fill(ctx context.Context, state *restore.State) error {
	repository, waits, err := w.repository(ctx)
	if err != nil {
		state.Filling = []string{waits}
		return client.IgnoreNotFound(err)
	}
	as, err := w.fillAs(ctx, repository)
	if err != nil {
		return err
	}
	for i := range w.Object.Status.Claims {
		c := &w.Object.Status.Claims[i]
		waits, err := w.fillClaim(ctx, c, repository, waits, as)
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

// repository is the one that the claims are filled from, and what is waited for
// until work may begin in it. It is nil where paths of a snapshot are copied.
func (w *run) repository(ctx context.Context) (_ *v1alpha1.ResticRepository, waits string, err error) {
	if !restore.IsFromRepository(w.Object) {
		return nil, "", nil
	}
	return mover.Repository(ctx, w.Live, w.Object.Namespace, restore.RepositoryOf(w.Object))
}

// fillAs is as whom the claims are written. Without a repository nobody says
// whether the mover is to be privileged: it is where it may be.
func (w *run) fillAs(ctx context.Context, repository *v1alpha1.ResticRepository) (resticexport.Reading, error) {
	application := ptr.Deref(w.Object.Status.Application, v1alpha1.ApplicationReference{})
	return w.Movers.As(ctx, w.Object.Namespace, application, repository == nil || repository.Spec.Mover.Privileged)
}

// fillClaim brings the filling of one claim on, and says what it waits for. blocked
// is why nothing may begin in the repository yet. What another try can't mend is a
// Problem.
func (w *run) fillClaim(ctx context.Context, c *v1alpha1.RestoredClaim, repository *v1alpha1.ResticRepository, blocked string, as resticexport.Reading) (waits string, err error) {
	if c.Fill.FilledAt != nil {
		return "", nil
	}
	if next := resticexport.NextFillAt(c.Fill, w.Now()); next.After(w.Now()) {
		return fmt.Sprintf("tries again at %s after %s", next.UTC().Format(time.TimeOnly+" MST"), c.Fill.Message), nil
	}
	if err := w.verifyClone(ctx, c); err != nil {
		return "", err
	}
	in, place := resticexport.JobInput{}, mover.Place{Kind: mover.Apart}
	if repository != nil {
		in = resticexport.FillJob(w.Object, c, restore.NewClaimName(c), repository, as)
		in.Cache = mover.CacheOfFill(repository, &in, w.Object, c.ClaimName)
		place = mover.Place{Kind: mover.Shared, Most: repository.Spec.Concurrency, Waits: blocked}
	} else {
		in = resticexport.CopyJob(w.Object, c, restore.NewClaimName(c), as)
		place.First = func(ctx context.Context) (string, error) {
			return w.Movers.MakeClone(ctx, resticexport.FillClone(w.Object, c), c.Fill.CloneUID, c.Fill.Clone.Labels, c.Fill.Clone.Annotations)
		}
	}
	moved, err := w.Movers.Run(ctx, in, resticexport.OwnerOfFill(w.Object), place)
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
	if repository != nil {
		if err := w.Movers.Doubt(ctx, repository, moved.Result, w.Now()); err != nil {
			return "", err
		}
	}
	if err := w.verifyClone(ctx, c); err != nil { // it may have come, and been read, since it was looked at
		return "", err
	}
	return w.filled(ctx, c, moved.Result, in.Name)
}

// verifyClone sees that the clone that paths are copied from is of the snapshot that
// was resolved.
func (w *run) verifyClone(ctx context.Context, c *v1alpha1.RestoredClaim) error {
	if c.Fill.Clone == nil {
		return nil
	}
	s := mover.Source{
		Namespace: w.Object.Namespace, Snapshot: c.SnapshotName, Clone: resticexport.FillCloneName(w.Object, c.ClaimName),
		Owner: w.Object.UID, Is: cut.Identity{UID: c.SnapshotUID}, Proven: c.Fill.CloneUID,
	}
	doubt, err := w.Movers.Prove(ctx, &s)
	if err != nil {
		return err
	}
	if doubt != "" {
		return v1alpha1.Problemf(v1alpha1.ReasonSnapshotReplaced, "claim %s: %s. Restore from another backup", c.ClaimName, doubt)
	}
	c.Fill.CloneUID = s.Proven
	return nil
}

// filled records what a mover came to, before its Job goes.
func (w *run) filled(ctx context.Context, c *v1alpha1.RestoredClaim, result resticexport.Result, job string) (waits string, err error) {
	resticexport.RecordFill(c.Fill, result, w.Now())
	if err := w.Save(ctx); err != nil {
		return "", err
	}
	noteFill(result)
	if _, err := w.Movers.Remove(ctx, w.Object.Namespace, job); err != nil {
		return "", err
	}
	if !result.Done && !result.Cause.Again() {
		return "", restore.FillFailed(w.Object, c, string(result.Cause), result.Message, result.Cause == resticexport.CauseSourceUnreadable)
	}
	return c.Fill.Message, nil
}

// endMovers ends the movers of a restore that is undone, before its claims go: they
// would hold them.
func (w *run) endMovers(ctx context.Context) reconcile.Outcome {
	v := w.Object
	if !restore.IsFilled(v) || v.Status.RollBack == nil || isTrue(v, v1alpha1.ConditionClaimsFilled) {
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

// endMoversOf removes the Jobs of a restore, with the clones that they read and their
// caches. It is true once all of them are gone.
func (w *run) endMoversOf(ctx context.Context) (gone bool, err error) {
	var jobs batchv1.JobList
	if err := w.Live.List(ctx, &jobs, client.InNamespace(w.Object.Namespace), client.MatchingLabels{v1alpha1.LabelRestoreUID: string(w.Object.UID)}); err != nil {
		return false, err
	}
	movers := resticexport.FillJobNames(w.Object) // one may have lost its label
	for i := range jobs.Items {
		if !slices.Contains(movers, jobs.Items[i].Name) {
			movers = append(movers, jobs.Items[i].Name)
		}
	}
	areEnded, err := w.Movers.RemoveOwn(ctx, w.Object.Namespace, w.Object.UID, movers)
	if err != nil {
		return false, err
	}
	claims := resticexport.FillClones(w.Object)
	for _, cache := range mover.CachesOfFills(w.Object) {
		claims[cache] = ""
	}
	gone, err = w.Movers.RemoveClones(ctx, w.Object.Namespace, w.Object.UID, claims)
	return gone && areEnded, err
}

// warnOfOwners tells before anything is made that files come back as somebody
// else's.
func (w *run) warnOfOwners(ctx context.Context) error {
	if !restore.IsFilled(w.Object) {
		return nil
	}
	repository, _, err := w.repository(ctx)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	as, err := w.fillAs(ctx, repository)
	if err != nil || as.Privileged {
		return err
	}
	if repository != nil {
		as = as.Of(&repository.Spec.Mover)
	}
	w.RecordOnceSaved(eventWarned(restore.OwnersNotRestored(w.Object, as.ID())))
	return nil
}

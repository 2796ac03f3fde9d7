package repository

import (
	"cmp"
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/workload"
)

// turnDelay is how soon it is looked again whether it is a copy's turn.
const turnDelay = 15 * time.Second

// relatives are the repositories that may wait for another one: those that are copied
// to it, and those that it is copied to, which may be made like it.
func (r *Reconciler) relatives(ctx context.Context, of client.Object) (all []ctrl.Request) {
	repository, is := of.(*v1alpha1.ResticRepository)
	var there v1alpha1.ResticRepositoryList
	if !is || r.List(ctx, &there, client.InNamespace(of.GetNamespace())) != nil {
		return nil // a look is tried again by itself
	}
	for i := range there.Items {
		if other := &there.Items[i]; resticexport.IsCopyOf(repository, other) || resticexport.IsCopyOf(other, repository) {
			all = append(all, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(other)})
		}
	}
	return all
}

// madeLike is the repository that a new one is made like, or what it waits for.
func (w *run) madeLike(ctx context.Context) (like *v1alpha1.ResticRepository, waits string, err error) {
	var all v1alpha1.ResticRepositoryList
	if err := w.List(ctx, &all, client.InNamespace(w.Object.Namespace)); err != nil {
		return nil, "", err
	}
	like, waits = resticexport.MadeLike(w.Object, all.Items)
	return like, waits, nil
}

// copy copies what was exported into the repositories that are to have a copy. It
// holds nothing up: neither exports nor the look after the repository wait for one
// that can't be copied to.
func (w *run) copy(ctx context.Context) reconcile.Outcome {
	status := &w.Object.Status
	status.Copies = resticexport.CopiesOf(w.Object)
	if len(status.Copies) == 0 {
		w.Remove(v1alpha1.ConditionCopied)
		return reconcile.Skip()
	}
	if !w.Is(v1alpha1.ConditionReady) {
		return reconcile.Skip()
	}
	rest := reconcile.Skip()
	for i := range status.Copies {
		out := w.copyTo(ctx, &status.Copies[i])
		if !out.Skipped() {
			return out
		}
		rest = rest.And(out)
	}
	isCopied, reason, message := resticexport.Copied(status.Copies)
	w.Set(v1alpha1.ConditionCopied, isCopied, reason, "%s", message)
	return rest
}

// copyTo has one other repository have a copy of each export.
func (w *run) copyTo(ctx context.Context, c *v1alpha1.CopyStatus) reconcile.Outcome {
	into := &v1alpha1.ResticRepository{}
	err := w.Get(ctx, client.ObjectKey{Namespace: w.Object.Namespace, Name: c.Name}, into)
	if apierrors.IsNotFound(err) {
		return w.notCopied(c, v1alpha1.ReasonCopyWaiting, fmt.Sprintf("there is no ResticRepository %s in this namespace: create it, or take it out of spec.copyTo", c.Name))
	}
	if err != nil {
		return reconcile.Retry(err)
	}
	if why := resticexport.Conflict(into, w.Object); why != "" {
		return w.notCopied(c, v1alpha1.ReasonCopyRefused, why)
	}
	isDue, at := resticexport.CopyDue(w.Object, into, c, w.Now())
	switch {
	case resticexport.IsCopied(w.Object, into, c):
		c.Reason, c.Message, c.Attempts = v1alpha1.ReasonCopied, "", 0
		return reconcile.Skip()
	case !isDue && at.IsZero():
		return reconcile.Skip()
	case !isDue:
		return reconcile.SkipFor(at.Sub(w.Now()))
	}
	if waits := mover.WaitsFor(into); waits != "" {
		return w.notCopied(c, v1alpha1.ReasonCopyWaiting, waits)
	}
	return w.move(ctx, c, into)
}

// move has a mover copy.
func (w *run) move(ctx context.Context, c *v1alpha1.CopyStatus, into *v1alpha1.ResticRepository) reconcile.Outcome {
	in := resticexport.CopySnapshotsJob(w.Object, into, c)
	in.Labels = workload.Unmarked(w.Object.Labels) // rules of the namespace may ask for some
	in.Cache = mover.CacheOfMaintenance(into, &in)
	ran, err := w.Movers.Run(ctx, in, w.owner(), mover.Place{Kind: mover.Copying})
	switch {
	case err != nil && reconcile.ProblemOf(err) != nil:
		return w.notCopied(c, v1alpha1.ReasonCopyWaiting, err.Error())
	case err != nil:
		return reconcile.Retry(err)
	case !ran.Ended && !ran.IsStuck(0, w.Now()):
		return w.underWay(c, ran)
	case !ran.Ended:
		ran.Result = resticexport.Result{Cause: resticexport.CauseInterrupted, Message: ran.Waits}
	}
	resticexport.RecordCopy(c, into, ran.Result, w.Now())
	switch {
	case c.Reason != v1alpha1.ReasonCopied:
		w.RecordOnceSaved(eventNotCopied(c))
	case ran.Result.Copy.Copied > 0:
		w.RecordOnceSaved(eventCopied(ran.Result.Copy.Copied, c.Name))
	}
	return w.done(ctx, in.Name)
}

// underWay tells of a copy that is, or that waits for its turn or for its pod.
func (w *run) underWay(c *v1alpha1.CopyStatus, ran mover.Run) reconcile.Outcome {
	c.Reason, c.Message = v1alpha1.ReasonCopying, cmp.Or(ran.Waits, "is under way")
	switch {
	case ran.Waits == "":
		return reconcile.Skip() // the end of the Job is told
	case ran.Since.IsZero():
		return reconcile.SkipFor(turnDelay)
	}
	return reconcile.SkipFor(podDelay)
}

// notCopied tells what is in the way, once in an event where only a person can help.
func (w *run) notCopied(c *v1alpha1.CopyStatus, reason, message string) reconcile.Outcome {
	isNews := c.Reason != reason
	c.Reason, c.Message = reason, message
	if isNews && reason == v1alpha1.ReasonCopyRefused {
		w.RecordOnceSaved(eventNotCopied(c))
	}
	return reconcile.Skip() // a change of the other is told
}

package repository

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
	"github.com/lull-dev/lull/snapshot/workload"
)

const (
	// startLimit is how long a mover's pod may take to start before the repository
	// is told to be unready, with what it waits for.
	startLimit = 30 * time.Second
	// lookLimit bounds a look: what is slower isn't there.
	lookLimit = 10 * time.Minute
	// podDelay is how soon it is looked again why a pod doesn't start.
	podDelay = 5 * time.Second
)

// look opens the repository when it is time to.
func (w *run) look(ctx context.Context) reconcile.Outcome {
	if next := resticexport.NextLook(w.Object, w.Now()); next.After(w.Now()) {
		return reconcile.SkipFor(next.Sub(w.Now()))
	}
	if forgets, err := w.isForgetting(ctx); err != nil {
		return reconcile.Retry(err)
	} else if forgets {
		return reconcile.SkipFor(podDelay)
	}
	if why, err := w.Movers.NoCacheClass(ctx, w.Object); err != nil {
		return reconcile.Retry(err)
	} else if why != "" {
		w.tell(resticexport.Found{Reason: v1alpha1.ReasonNoStorageClass, Message: why}, resticexport.Result{})
		return reconcile.Skip()
	}
	in := w.job("open", lastLook(w.Object), resticexport.Task{Open: &resticexport.Open{Measure: w.Is(v1alpha1.ConditionReady) && isFirstOfDay(&w.Object.Status, w.Now())}})
	looked, err := w.Movers.Run(ctx, in, w.owner(), mover.Place{Kind: mover.Beside})
	switch {
	case err != nil:
		return reconcile.Failed(err)
	case !looked.Ended:
		return w.await(looked)
	}
	if err := w.Movers.RemoveCaches(ctx, w.Object); err != nil {
		return reconcile.Retry(err)
	}
	w.tell(resticexport.Judge(&w.Object.Status, looked.Result), looked.Result)
	return w.done(ctx, in.Name)
}

// isForgetting is true while there is a mover that forgets snapshots: what it has
// left has to be known before they are counted.
func (w *run) isForgetting(ctx context.Context) (bool, error) {
	job := &batchv1.Job{}
	in := w.job(taskRetain, attemptOf(&w.Object.Status, taskRetain), resticexport.Task{})
	err := w.Live.Get(ctx, client.ObjectKey{Namespace: in.Namespace, Name: in.Name}, job)
	return err == nil, client.IgnoreNotFound(err)
}

// isFirstOfDay is true for a look that measures the repository, which takes long
// where there is much in it.
func isFirstOfDay(s *v1alpha1.ResticRepositoryStatus, now time.Time) bool {
	const day = 24 * time.Hour
	return s.Size == nil || s.LastLookTime == nil || !s.LastLookTime.UTC().Truncate(day).Equal(now.UTC().Truncate(day))
}

// lastLook tells the Job of one look from that of the next.
func lastLook(r *v1alpha1.ResticRepository) string {
	return stamp(r.Status.LastLookTime)
}

// stamp is a time as the status keeps it, whoever has read or written it.
func stamp(t *metav1.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// init makes the repository where a look has found none. Its Job has one name for
// ever: two that make a repository at once make one that may never open again.
func (w *run) init(ctx context.Context) reconcile.Outcome {
	ready := w.Find(v1alpha1.ConditionReady)
	if w.Object.Status.RepositoryID != "" || ready == nil || ready.Reason != v1alpha1.ReasonInitialising {
		return reconcile.Skip()
	}
	like, waits, err := w.madeLike(ctx)
	switch {
	case err != nil:
		return reconcile.Retry(err)
	case waits != "":
		w.Set(v1alpha1.ConditionReady, false, v1alpha1.ReasonInitialising, "%s", waits)
		w.Working(v1alpha1.ReasonInitialising, "waits for a repository that is copied to it")
		return reconcile.Wait(lookLimit)
	}
	in := w.job("init", "", resticexport.Task{Init: &resticexport.Init{LikeSource: like != nil}})
	in.From = like
	made, err := w.Movers.Run(ctx, in, w.owner(), mover.Place{Kind: mover.Alone})
	switch {
	case err != nil:
		return reconcile.Failed(err)
	case !made.Ended:
		return w.await(made)
	}
	found := resticexport.Judge(&w.Object.Status, made.Result)
	if made.Result.Done && made.Result.Repository.IsNew {
		w.RecordOnceSaved(eventInitialised(made.Result.Repository.ID))
	}
	w.tell(found, made.Result)
	return w.done(ctx, in.Name)
}

func (w *run) job(kind, which string, task resticexport.Task) resticexport.JobInput {
	r := w.Object
	return resticexport.JobInput{
		Name:       resticexport.JobName(kind, r.Name, string(r.UID), which),
		Namespace:  r.Namespace,
		Labels:     workload.Unmarked(r.Labels), // rules of the namespace may ask for some
		Repository: r.Name,
		Spec:       &r.Spec,
		Task:       task,
		Deadline:   lookLimit,
	}
}

func (w *run) owner() metav1.OwnerReference {
	return resticexport.Owner(w.Object, "ResticRepository")
}

// await waits for a mover. One whose pod doesn't start says why.
func (w *run) await(m mover.Run) reconcile.Outcome {
	if m.Waits != "" && !m.Since.IsZero() && w.Now().Sub(m.Since) > startLimit {
		w.Set(v1alpha1.ConditionReady, false, v1alpha1.ReasonMoverPending, "%s", m.Waits)
	}
	w.Working(v1alpha1.ReasonOpening, "opens the repository")
	if m.Waits == "" {
		return reconcile.Wait(lookLimit)
	}
	return reconcile.Wait(podDelay)
}

// done writes what a Job has come to before the Job goes. One that is left by a
// manager that died in between Kubernetes removes after a while.
func (w *run) done(ctx context.Context, job string) reconcile.Outcome {
	if err := w.Save(ctx); err != nil {
		return reconcile.Retry(err)
	}
	if _, err := w.Movers.Remove(ctx, w.Object.Namespace, job); err != nil {
		return reconcile.Retry(err)
	}
	return reconcile.Continue()
}

package repository

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/controllers/mover"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// +kubebuilder:rbac:groups=lull.dev,resources=snapshotpolicies;clustersnapshotpolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups=lull.dev,resources=volumebackups,verbs=get;list;watch

// maintain does what of the repository's maintenance is due, one task after
// another, each alone in the repository.
func (w *run) maintain(ctx context.Context) reconcile.Outcome {
	if !w.Is(v1alpha1.ConditionReady) {
		return reconcile.Skip()
	}
	dropUnscheduled(w.Object)
	histories, err := w.histories(ctx)
	if err != nil {
		return reconcile.Retry(err)
	}
	name, task, at, err := nextTask(w.Object, histories, w.Now())
	switch {
	case err != nil:
		w.Set(v1alpha1.ConditionStalled, true, v1alpha1.ReasonInvalidSchedule, "%s", err)
		return reconcile.Skip()
	case task == nil && at.IsZero():
		w.Remove(v1alpha1.ConditionStalled)
		return reconcile.Skip()
	case task == nil:
		w.Remove(v1alpha1.ConditionStalled)
		return reconcile.SkipFor(at.Sub(w.Now()))
	}
	title := titleOf(&w.Object.Status, name, task, len(histories))
	if out := w.passOver(name, task); !out.Skipped() {
		return out
	}
	in := w.job(task.Kind(), attemptOf(&w.Object.Status, name), *task)
	in.Deadline = 0 // of a large repository it takes hours
	in.Cache = mover.CacheOfMaintenance(w.Object, &in)
	ran, err := w.Movers.Run(ctx, in, w.owner(), mover.Place{Kind: mover.Alone})
	switch {
	case err != nil:
		return reconcile.Failed(err)
	case !ran.Ended && task.Retain != nil:
		if err := w.expectNothing(ctx); err != nil {
			return reconcile.Retry(err)
		}
	}
	switch {
	case !ran.Ended && ran.Waits != "":
		w.Working(v1alpha1.ReasonMaintaining, "%s: %s", title, ran.Waits)
		return reconcile.Wait(podDelay)
	case !ran.Ended:
		w.Working(v1alpha1.ReasonMaintaining, "%s is under way", title)
		return reconcile.Wait(w.untilLook())
	}
	if told := recordTask(w.Object, name, task, ran.Result, w.Now()); told != "" {
		w.RecordOnceSaved(eventMaintenanceFailed(told))
	}
	if task.Check != nil && (ran.Result.Done || ran.Result.Cause == resticexport.CauseDamaged) {
		w.tellChecked(ran.Result)
	}
	return w.done(ctx, in.Name)
}

// passOver passes over a history that no mover can be told of, and says so.
func (w *run) passOver(name string, task *resticexport.Task) reconcile.Outcome {
	if task.Retain == nil {
		return reconcile.Skip()
	}
	why := task.Retain.WhyTooLong()
	if why == "" {
		return reconcile.Skip()
	}
	result := resticexport.Result{Cause: resticexport.CauseInvalid, Message: why, Forget: &resticexport.ForgottenSnapshots{Histories: 1, Through: task.Retain.Histories[0].Key()}}
	w.RecordOnceSaved(eventMaintenanceFailed(recordTask(w.Object, name, task, result, w.Now())))
	return reconcile.Continue()
}

// expectNothing has the next look expect no number of snapshots once a mover forgets
// some: how many isn't known where nobody sees its end.
func (w *run) expectNothing(ctx context.Context) error {
	if w.Object.Status.ExpectedSnapshots == nil {
		return nil
	}
	forgets, err := w.isForgetting(ctx)
	if forgets {
		w.Object.Status.ExpectedSnapshots = nil
	}
	return err
}

func (w *run) tellChecked(result resticexport.Result) {
	if result.Done {
		w.Set(v1alpha1.ConditionHealthy, true, v1alpha1.ReasonChecked, "the last check found no error")
		return
	}
	message := result.Message
	if c := result.Check; c != nil && c.BrokenPackCount > 0 {
		message += fmt.Sprintf("; %d packs are broken, as %.8s", c.BrokenPackCount, c.BrokenPacks[0])
	}
	w.Set(v1alpha1.ConditionHealthy, false, v1alpha1.ReasonDamaged,
		"the last check found damage: %s. Nothing is pruned. Exports and restores of what is whole go on. https://restic.readthedocs.io/en/stable/077_troubleshooting.html says how to mend it", message)
}

// histories are what retention has to look at, after each look at the repository.
func (w *run) histories(ctx context.Context) ([]resticexport.History, error) {
	s, since := &w.Object.Status, w.Object.Status.LastRetentionTime
	if since != nil && since.After(w.Now()) {
		since = nil // by a clock that was wrong
	}
	if since != nil && !s.LastLookTime.After(since.Time) {
		return nil, nil
	}
	policies, err := w.exportPolicies(ctx)
	if err != nil || len(policies) == 0 {
		return nil, err // how far retention is stays: they may come back
	}
	// Of what has ended the cache doesn't know where it was exported to.
	backups, err := live.Reader{Reader: w.Live}.Backups(ctx, w.Object.Namespace)
	if err != nil {
		return nil, err
	}
	return remaining(s, historiesOf(w.Object.Name, policies, backups, since)), nil
}

// exportPolicies are the policies that say which of their exports into the
// repository are kept. Of two of one name that of the namespace counts. After a mass
// deletion nothing is forgotten either until a person says so: the backups that said
// what stays are gone.
func (w *run) exportPolicies(ctx context.Context) (all []exportPolicy, err error) {
	known := map[string]bool{}
	add := func(name string, spec *v1alpha1.SnapshotPolicySpec, status *v1alpha1.SnapshotPolicyStatus) {
		export, rules := spec.Template.Spec.Export, spec.Retention.Exports
		if !known[name] && export != nil && rules != nil && export.RepositoryRef.Name == w.Object.Name && status.MassDeletion == nil {
			all = append(all, exportPolicy{name: name, timeZone: spec.TimeZone, rules: *rules})
		}
		known[name] = true
	}
	var ofNamespace v1alpha1.SnapshotPolicyList
	if err := w.List(ctx, &ofNamespace, client.InNamespace(w.Object.Namespace)); err != nil {
		return nil, err
	}
	for i := range ofNamespace.Items {
		add(ofNamespace.Items[i].Name, &ofNamespace.Items[i].Spec, &ofNamespace.Items[i].Status)
	}
	var ofCluster v1alpha1.ClusterSnapshotPolicyList
	if err := w.List(ctx, &ofCluster); err != nil {
		return nil, err
	}
	for i := range ofCluster.Items {
		add(ofCluster.Items[i].Name, &ofCluster.Items[i].Spec.SnapshotPolicySpec, &ofCluster.Items[i].Status)
	}
	return all, nil
}

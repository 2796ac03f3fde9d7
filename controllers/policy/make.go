package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/limits"
	"github.com/lull-dev/lull/snapshot/policy"
)

// makeDue makes the backups that are due. Their names follow from what they are
// for: whoever comes here again, after a crash or beside another manager, makes
// none twice. That they are made is written once they have ended.
func (w *run[T]) makeDue(ctx context.Context) reconcile.Outcome {
	w.due = w.state.Due()
	if len(w.due.Runs) > 0 {
		defer w.rush.begin(w.Now())()
	}
	made := map[policy.Application]string{}
	for _, run := range w.due.Runs {
		name, isNew, err := w.create(ctx, run.Application, policy.BackupName(w.state.Name, run.Application, run.Due), &run.Due)
		switch {
		case err == nil:
			made[run.Application] = name
			if isNew {
				w.rush.made(w.Now(), w.state.LateBy(run))
				skewSeconds.Observe(w.Now().Sub(run.Due.Add(w.state.Offset(run.Application))).Seconds())
			}
		case isRefusal(err):
			w.due.Refused(run, err)
		default:
			w.failed = errors.Join(w.failed, err)
			w.due.Postpone(run)
		}
	}
	w.tellMissed(w.state.Dealt(w.due, made))
	w.unwritten.keep(w.Object.GetUID(), w.state.Unwritten)
	return reconcile.Skip()
}

// isRefusal is true where the API server won't take a backup, however often it is
// asked: an admission policy or a quota is against it.
func isRefusal(err error) bool {
	return !reconcile.LacksRight(err) && (apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || reconcile.IsTooLarge(err))
}

func (w *run[T]) tellMissed(newest []string) {
	if w.due.Count == 0 {
		return
	}
	if len(newest) == 0 {
		newest = []string{fmt.Sprintf("%d due time(s) were missed; the newest is made up for", w.due.Count)}
	}
	count := float64(w.due.Count)
	w.OnceSaved(func() { missedRuns.Add(count) })
	w.RecordOnceSaved(eventMissedRun(newest))
}

// runNow makes a backup of each application where a person asks for it, once for
// each value. When that was is written first: the names follow from it. One that
// can't be made keeps no other from it, nor the policy from what is due.
func (w *run[T]) runNow(ctx context.Context) reconcile.Outcome {
	value := w.Object.GetAnnotations()[v1alpha1.AnnotationRunNow]
	runs, isNew := w.state.RunsNow(value)
	if isNew {
		if err := w.Save(ctx); err != nil {
			return reconcile.Retry(err)
		}
	}
	if !runs {
		return reconcile.Skip()
	}
	now := w.state.Status.RunNow
	now.Done, now.Refused = true, nil
	for _, app := range w.state.Applications {
		name := policy.RunNowName(w.state.Name, app, now.At.Time, value)
		isThere := func(made string) bool {
			return made == w.state.Qualified(app.Namespace, name) || made == w.state.Qualified(app.Namespace, policy.LongerName(name, app))
		}
		if slices.ContainsFunc(now.Backups, isThere) {
			continue
		}
		name, _, err := w.create(ctx, app, name, nil)
		switch {
		case isRefusal(err):
			w.state.RefusedNow(app, err)
		case err != nil:
			now.Done, w.failed = false, errors.Join(w.failed, err)
		case len(now.Backups) < limits.Names:
			now.Backups = append(now.Backups, w.state.Qualified(app.Namespace, name))
		}
	}
	return reconcile.Skip()
}

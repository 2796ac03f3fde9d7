package policy

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
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
	var failed error
	for _, run := range w.due.Runs {
		name, isNew, err := w.create(ctx, run.Application, policy.BackupName(w.state.Name, run.Application, run.Due), &run.Due)
		switch {
		case err == nil:
			made[run.Application] = name
			if isNew {
				skewSeconds.Observe(w.Now().Sub(run.Due.Add(w.state.Offset(run.Application))).Seconds())
			}
		case isRefusal(err):
			w.due.Refused(run, err)
		default:
			failed = errors.Join(failed, err)
			w.due.Postpone(run)
		}
	}
	w.tellMissed(w.state.Dealt(w.due, made))
	w.unwritten.keep(w.Object.GetUID(), w.state.Unwritten)
	if failed != nil {
		return w.retry(ctx, failed)
	}
	return reconcile.Skip()
}

// isRefusal is true where the API server won't take a backup, however often it is
// asked: an admission policy or a quota is against it.
func isRefusal(err error) bool {
	return !reconcile.LacksRight(err) && (apierrors.IsForbidden(err) || apierrors.IsInvalid(err))
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

// retry writes what was done before the error is told, so that it isn't lost.
func (w *run[T]) retry(ctx context.Context, failed error) reconcile.Outcome {
	w.state.Report()
	if err := w.Save(ctx); err != nil {
		return reconcile.Retry(err)
	}
	return reconcile.Retry(failed)
}

// runNow makes a backup of each application where a person asks for it, once for
// each value. When that was is written first: the names follow from it.
func (w *run[T]) runNow(ctx context.Context) reconcile.Outcome {
	value, status := w.Object.GetAnnotations()[v1alpha1.AnnotationRunNow], w.state.Status
	if value == "" || status.RunNow != nil && status.RunNow.Value == value && status.RunNow.Done {
		return reconcile.Skip()
	}
	if status.RunNow == nil || status.RunNow.Value != value {
		status.RunNow = &v1alpha1.RunNowStatus{Value: value, At: metav1.NewMicroTime(w.Now())}
		if err := w.Save(ctx); err != nil {
			return reconcile.Retry(err)
		}
	}
	now := status.RunNow
	now.Backups = nil
	for _, app := range w.state.Applications {
		name, _, err := w.create(ctx, app, policy.RunNowName(w.state.Name, app, now.At.Time, value), nil)
		if err != nil {
			return reconcile.Retry(err)
		}
		if len(now.Backups) < policy.MaxRows {
			now.Backups = append(now.Backups, w.state.Qualified(app.Namespace, name))
		}
	}
	now.Done = true
	return reconcile.Skip()
}

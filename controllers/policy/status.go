package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/reconcile"
	"github.com/lull-dev/lull/snapshot/names"
)

// report tells what is known of the applications, and looks again when the next
// of them is due. Of runs that go on it is written once they have ended.
func (w *run[T]) report(ctx context.Context) reconcile.Outcome {
	w.markHealth(w.state.Report())
	w.markReady()
	if w.failed != nil {
		return w.retry(ctx)
	}
	w.AtRest(v1alpha1.ReasonScheduled)
	out := reconcile.Done()
	if !w.due.Next.IsZero() {
		out = reconcile.Wait(w.due.Next.Sub(w.Now()))
	}
	written := w.Written()
	if written.PolicyStatus().ObservedGeneration != written.GetGeneration() {
		return out
	}
	if left := w.state.MayWait(written.PolicyStatus()); left > 0 {
		return out.Within(left).Unsaved()
	}
	return out
}

// retry writes what was done before the errors are told, so that it isn't lost.
func (w *run[T]) retry(ctx context.Context) reconcile.Outcome {
	if err := w.Save(ctx); err != nil {
		return reconcile.Retry(err)
	}
	return reconcile.Retry(w.failed)
}

func (w *run[T]) markHealth(failing []string) {
	switch {
	case len(failing) > 0:
		w.Set(v1alpha1.ConditionHealthy, false, v1alpha1.ReasonRunsFailed, "the last run gave no backup of %s: status.applications says why", names.List(failing))
	case w.state.Status.LastSuccessTime == nil:
		w.Set(v1alpha1.ConditionHealthy, true, v1alpha1.ReasonNoRunYet, "no run has ended yet")
	default:
		w.Set(v1alpha1.ConditionHealthy, true, v1alpha1.ReasonAllSucceeded, "the last run of every application that has ended gave a backup")
	}
}

func (w *run[T]) markReady() {
	switch n := len(w.state.Applications); {
	case w.state.Spec.Suspend:
		w.Set(v1alpha1.ConditionReady, false, v1alpha1.ReasonSuspended, "it is suspended: spec.suspend: false lets it run")
	case n == 0:
		w.Set(v1alpha1.ConditionReady, true, v1alpha1.ReasonNoApplications,
			"it has no applications: nothing carries the annotation %s: %s, and spec.applications selects nobody", v1alpha1.AnnotationPolicy, w.state.Name)
	default:
		w.Set(v1alpha1.ConditionReady, true, v1alpha1.ReasonScheduled, "it runs for %d application(s)%s", n, w.alsoRunsFor())
	}
}

// alsoRunsFor says whose applications a policy of the cluster has because their
// own policy can't run.
func (w *run[T]) alsoRunsFor() string {
	if len(w.unreadable) == 0 {
		return ""
	}
	return "; also for those of policies of the same name that can't run as they are written: " + names.List(w.unreadable)
}

// markHeld says why nothing is removed, and by which value of the annotation a
// person releases it: that comes first, since an event has little room.
func (w *run[T]) markHeld(why, release string) {
	kind, where := "snapshotpolicy", " -n "+w.Object.GetNamespace()
	if w.state.IsOfCluster() {
		kind, where = "clustersnapshotpolicy", ""
	}
	message := fmt.Sprintf("nothing is removed until a person says so (kubectl annotate %s%s %s %s=%s --overwrite), and backups go on: %s",
		kind, where, w.Object.GetName(), v1alpha1.AnnotationReleaseRetention, release, why)
	if c := w.Find(v1alpha1.ConditionStalled); c == nil || c.Reason != v1alpha1.ReasonRetentionHeld || c.Status != metav1.ConditionTrue {
		w.RecordOnceSaved(eventRetentionHeld(message))
	}
	w.Set(v1alpha1.ConditionStalled, true, v1alpha1.ReasonRetentionHeld, "%s", message)
}

// stalled says that a policy can't run as it is written.
func stalled[T object](s *reconcile.Scope[T], p *v1alpha1.Problem) reconcile.Outcome {
	s.Set(v1alpha1.ConditionReady, false, p.Reason, "%s", p.Message)
	s.Set(v1alpha1.ConditionStalled, true, p.Reason, "%s", p.Message)
	s.AtRest(p.Reason)
	s.Object.PolicyStatus().NextScheduleTime = nil
	return reconcile.Done()
}

// summarize derives from the conditions what is for people.
func summarize[T object](s *reconcile.Scope[T]) {
	status := s.Object.PolicyStatus()
	status.ObservedGeneration = s.Object.GetGeneration()
	var told []string
	for _, kind := range []string{v1alpha1.ConditionStalled, v1alpha1.ConditionReady, v1alpha1.ConditionHealthy} {
		c := s.Find(kind)
		isBad := c != nil && (c.Status == metav1.ConditionTrue) == (kind == v1alpha1.ConditionStalled)
		isTold := isBad || c != nil && c.Reason == v1alpha1.ReasonNoApplications
		if isTold && !slices.Contains(told, c.Message) {
			told = append(told, c.Message)
		}
	}
	status.Message = reconcile.Shorten(strings.Join(told, "; "))
}

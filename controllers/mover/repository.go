package mover

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/controllers/reconcile"
	resticexport "github.com/lull-dev/lull/restic-export"
)

// +kubebuilder:rbac:groups=lull.dev,resources=resticrepositories,verbs=get;list;watch

// +kubebuilder:rbac:groups=lull.dev,resources=resticrepositories/status,verbs=patch

// Repository is a repository, and what is waited for until work may begin in it,
// empty where it may. Where there is none the API's error comes with that.
func Repository(ctx context.Context, from client.Reader, namespace, name string) (_ *v1alpha1.ResticRepository, waits string, err error) {
	var found v1alpha1.ResticRepository
	if err := from.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &found); err != nil {
		return nil, fmt.Sprintf("there is no ResticRepository %s in namespace %s", name, namespace), err
	}
	return &found, WaitsFor(&found), nil
}

// WaitsFor is what is waited for until work may begin in a repository, empty where it
// may.
func WaitsFor(r *v1alpha1.ResticRepository) string {
	ready := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil, ready.ObservedGeneration != r.Generation:
		return fmt.Sprintf("waits until repository %s is opened", r.Name)
	case ready.Status != metav1.ConditionTrue:
		return fmt.Sprintf("repository %s isn't ready: %s: %s", r.Name, ready.Reason, ready.Message)
	case resticexport.IsInDoubt(r):
		return fmt.Sprintf("waits until repository %s is looked at: a mover could not work in it", r.Name)
	}
	return ""
}

// YieldsTo is what an export waits for in a repository beside that: whoever has to be
// alone there would never be while ever new exports begin.
func YieldsTo(r *v1alpha1.ResticRepository) string {
	working := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionReconciling)
	if working == nil || working.Status != metav1.ConditionTrue {
		return ""
	}
	switch working.Reason {
	case v1alpha1.ReasonMaintaining, v1alpha1.ReasonRekeying:
		return fmt.Sprintf("waits until repository %s is looked after: %s", r.Name, working.Message)
	}
	return ""
}

// Doubt has a repository be looked at before anything else begins in it, where a
// mover could not work in it for a cause that may be the repository's.
func (m *Movers) Doubt(ctx context.Context, r *v1alpha1.ResticRepository, result resticexport.Result, now time.Time) error {
	if result.Done || !result.Cause.IsOfRepository() || resticexport.IsInDoubt(r) {
		return nil
	}
	before := client.MergeFrom(r.DeepCopy())
	doubted := r.DeepCopy()
	doubted.Status.LastFailureTime = &metav1.Time{Time: now}
	return client.IgnoreNotFound(m.Writes.Status().Patch(ctx, doubted, before))
}

// As is as whom a mover reads and writes an application's files: as its pods do, as
// far as that is known, or privileged where that is wanted and the namespace lets
// it.
func (m *Movers) As(ctx context.Context, namespace string, ref v1alpha1.ApplicationReference, privileged bool) (as resticexport.Reading, err error) {
	app, err := live.Reader{Reader: m.Live}.Application(ctx, namespace, ref)
	if reconcile.ProblemOf(err) != nil { // it is gone, or not there yet
		app, err = &live.Application{}, nil
	}
	switch {
	case err != nil:
		return as, err
	case len(app.Pods) > 0:
		as = resticexport.ReadingAs(&app.Pods[0].Spec)
	case app.Workload != nil:
		as = resticexport.ReadingAs(&app.Workload.Template.Spec)
	}
	if !privileged {
		return as, nil
	}
	var there corev1.Namespace
	if err := m.Live.Get(ctx, client.ObjectKey{Name: namespace}, &there); err != nil {
		return as, err
	}
	if there.Annotations[v1alpha1.AnnotationPrivilegedMovers] == "true" {
		return resticexport.Reading{Privileged: true, Tolerations: as.Tolerations}, nil
	}
	return as, nil
}

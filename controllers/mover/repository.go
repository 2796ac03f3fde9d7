package mover

import (
	"context"
	"fmt"

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

// Repository is a repository that can be used, or what is waited for until it can
// be. Where there is none the API's error comes with that.
func Repository(ctx context.Context, from client.Reader, namespace, name string) (_ *v1alpha1.ResticRepository, waits string, err error) {
	var found v1alpha1.ResticRepository
	if err := from.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &found); err != nil {
		return nil, fmt.Sprintf("there is no ResticRepository %s in namespace %s", name, namespace), err
	}
	if waits := WaitsFor(&found); waits != "" {
		return nil, waits, nil
	}
	return &found, "", nil
}

// WaitsFor is what is waited for until a repository can be used, empty where it can.
func WaitsFor(r *v1alpha1.ResticRepository) string {
	ready := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		return fmt.Sprintf("waits until repository %s is opened", r.Name)
	case ready.Status != metav1.ConditionTrue:
		return fmt.Sprintf("repository %s isn't ready: %s: %s", r.Name, ready.Reason, ready.Message)
	}
	return ""
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

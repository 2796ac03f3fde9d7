package controllers

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	read "github.com/lull-dev/lull/controllers/live"
	"github.com/lull-dev/lull/hooks"
	"github.com/lull-dev/lull/snapshot/workload"
)

// HoldOf is the hold of a running pod as a backup of it would have it: that of the
// template that it was made from, or, where asked says one, that. What isn't a hold,
// or can't be run, is a Problem.
func HoldOf(ctx context.Context, live client.Reader, namespace, pod string, asked *v1alpha1.QuiesceSpec) (hooks.QuiescePlan, hooks.Target, error) {
	fail := func(err error) (hooks.QuiescePlan, hooks.Target, error) {
		return hooks.QuiescePlan{}, hooks.Target{}, err
	}
	app, err := read.Reader{Reader: live}.Application(ctx, namespace, v1alpha1.ApplicationReference{Kind: v1alpha1.KindPod, Name: pod})
	if err != nil {
		return fail(err)
	}
	p := &app.Pods[0]
	quiesce, err := hooks.Resolve(asked, app.Annotations[p.UID], hooks.Limits{})
	if err != nil {
		return fail(err)
	}
	if quiesce.Method != v1alpha1.MethodHold {
		return fail(fmt.Errorf("pod %s has no hold: write the annotation %s or %s on its template, or name a recipe to try (--recipe)", pod, v1alpha1.AnnotationQuiesce, v1alpha1.AnnotationHoldHook))
	}
	leftOut := hooks.ExcludedVolumes(app.Annotations[p.UID])
	claims := slices.DeleteFunc(workload.NamedClaims(&p.Spec), func(c string) bool { return slices.Contains(leftOut, c) })
	target, err := quiesce.ForPod(p, claims)
	target.Mark = hooks.Mark("hold-check." + uuid.NewUUID())
	return quiesce, target, err
}

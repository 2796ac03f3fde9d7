package controllers

import (
	"context"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot"
)

// rehearse asks the API server, by dry runs, whether the application may be
// stopped and led to its new claims. What an admission policy refuses would
// else be met with the application down.
func (r *VolumeRestoreReconciler) rehearse(ctx context.Context, s *restoreScope, o snapshot.RestoreObserved) error {
	if o.Workload == nil {
		return nil
	}
	dry := &VolumeRestoreReconciler{Client: client.NewDryRunClient(r.Client), Live: r.Live}
	obj := newScalable(o.Workload.Ref.Kind)
	obj.SetNamespace(s.Namespace)
	obj.SetName(o.Workload.Ref.Name)
	stop := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":0}}`))
	if err := mayNot("the application can't be scaled to zero", dry.Patch(ctx, obj, stop)); err != nil {
		return err
	}
	if s.Status.Strategy == v1alpha1.StrategyRepoint {
		return mayNot("the pod template can't be changed", dry.changeWorkload(ctx, s, s.repointing(o, restoredClaim)))
	}
	for i := range s.Status.Claims {
		c := &s.Status.Claims[i]
		claim := o.Claims[c.RestoredClaim]
		if claim == nil {
			continue
		}
		if err := mayNot("PersistentVolumeClaim "+claim.Name+" can't be deleted", dry.deleteClaim(ctx, claim)); err != nil {
			return err
		}
	}
	return nil
}

// mayNot is a problem where a dry run was refused. A webhook that doesn't know
// dry runs has said nothing.
func mayNot(what string, err error) error {
	switch {
	case apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "does not support dry run"):
		return nil
	case refused(err):
		return v1alpha1.Problemf(v1alpha1.ReasonChangeRefused, "%s: %v", what, err)
	}
	return client.IgnoreNotFound(err)
}

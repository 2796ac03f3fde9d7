package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/framework"
)

// rolloutPatience is how long the manager may take to work with other flags.
const rolloutPatience = 3 * time.Minute

func (b *bench) managerDeployment(ctx context.Context) (*appsv1.Deployment, error) {
	var d appsv1.Deployment
	return &d, b.Get(ctx, client.ObjectKey{Namespace: framework.ManagerNamespace, Name: "lull-manager"}, &d)
}

// managerFlags are those that the manager in the cluster has.
func (b *bench) managerFlags(ctx context.Context) ([]string, error) {
	d, err := b.managerDeployment(ctx)
	if err != nil {
		return nil, err
	}
	return d.Spec.Template.Spec.Containers[0].Args, nil
}

// withFlags has the manager in the cluster work with flags.
func (b *bench) withFlags(ctx context.Context, flags []string) error {
	return framework.Await(ctx, rolloutPatience, fmt.Sprintf("a manager with the flags %q works", flags), func(ctx context.Context) error {
		d, err := b.managerDeployment(ctx)
		if err != nil {
			return err
		}
		if there := &d.Spec.Template.Spec.Containers[0].Args; !slices.Equal(*there, flags) {
			*there = flags
			if err := b.Update(ctx, d); err != nil {
				return err
			}
		}
		pod, err := b.Manager(ctx)
		if err != nil {
			return err
		}
		if has := pod.Spec.Containers[0].Args; !slices.Equal(has, flags) {
			return fmt.Errorf("pod %s, which has the lease, has the flags %q", pod.Name, has)
		}
		return nil
	})
}

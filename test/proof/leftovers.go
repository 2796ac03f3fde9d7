package main

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// ofProof labels the namespaces of testbeds.
const ofProof = "test.lull.dev/proof"

// close removes all that was made. A class is needed until its last snapshot is
// gone.
func (tb *testbed) close(ctx context.Context) error {
	if tb.namespace == "" {
		return nil
	}
	err := remove(ctx, tb.Cluster, tb.namespace)
	if tb.class != nil {
		err = errors.Join(err, tb.Delete(ctx, tb.class))
	}
	return err
}

// removeLeftOvers removes the namespaces of a run that was killed, whose servers would
// be in the way of this one.
func removeLeftOvers(ctx context.Context, c *framework.Cluster) error {
	var left corev1.NamespaceList
	err := c.List(ctx, &left, client.HasLabels{ofProof})
	for _, ns := range left.Items {
		fmt.Printf("removing the namespace %s, which another run has left\n", ns.Name)
		err = errors.Join(err, remove(ctx, c, ns.Name))
	}
	return err
}

// remove removes a namespace, and what was cut of its volumes before.
func remove(ctx context.Context, c *framework.Cluster, name string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return errors.Join(
		c.DeleteAllOf(ctx, &v1alpha1.VolumeBackup{}, client.InNamespace(name)),
		framework.Await(ctx, limit, "the snapshots are gone", func(ctx context.Context) error {
			left, err := c.SnapshotContents(ctx, name)
			if err == nil && len(left) > 0 {
				err = fmt.Errorf("%d are left", len(left))
			}
			return err
		}),
		client.IgnoreNotFound(c.Delete(ctx, namespace(name))))
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

package main

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// policyName is that of the demo's policy, which keeps two backups.
const policyName = "minutely"

// schedule has the database backed up each minute. It says so on itself.
func (d *demo) schedule(ctx context.Context) (string, error) {
	if err := d.Merge(ctx, d.db.Workload(), fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationPolicy, policyName)); err != nil {
		return "", err
	}
	p := &v1alpha1.SnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: policyName}}
	p.Spec.Schedule = "@every 1m"
	p.Spec.Retention.Snapshots = &v1alpha1.RetentionRules{KeepLast: 2}
	if err := d.Create(ctx, p); err != nil {
		return "", err
	}
	first, err := d.scheduled(ctx, 1, "")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("SnapshotPolicy %s, @every 1m, keepLast: 2; Deployment %s joined it by an annotation, and has backup %s", policyName, d.db.Name, first[0]), nil
}

// keep waits until the third run has removed the first.
func (d *demo) keep(ctx context.Context) (string, error) {
	before, err := d.scheduled(ctx, 2, "")
	if err != nil {
		return "", err
	}
	after, err := d.scheduled(ctx, 2, before[0])
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the third run has removed the first, %s, with its snapshot: there are %s and %s", before[0], after[0], after[1]), nil
}

// scheduled waits until the policy has so many complete backups, without one, and
// comes back with their names, the oldest first.
func (d *demo) scheduled(ctx context.Context, count int, without string) (names []string, err error) {
	err = d.await(ctx, func(ctx context.Context) error {
		var all v1alpha1.VolumeBackupList
		if err := d.List(ctx, &all, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelPolicy: policyName}); err != nil {
			return err
		}
		names = nil
		for _, b := range all.Items {
			if b.Status.Phase != v1alpha1.PhaseCompleted {
				return fmt.Errorf("backup %s is %s: %s", b.Name, b.Status.Phase, b.Status.Message)
			}
			names = append(names, b.Name)
		}
		slices.Sort(names) // the due time is in the name
		if len(names) != count || slices.Contains(names, without) {
			return fmt.Errorf("the policy has the backups %v", names)
		}
		return nil
	})
	return names, err
}

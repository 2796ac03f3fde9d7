package main

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// asGroup begins a scenario with one backup whose volumes are cut as a group.
func asGroup(faults []string, changes ...change) func(context.Context, *testbed) ([]*v1alpha1.VolumeBackup, error) {
	return func(ctx context.Context, tb *testbed) ([]*v1alpha1.VolumeBackup, error) {
		class, err := tb.aGroupClass(ctx, faults...)
		if err != nil {
			return nil, err
		}
		return one(append(slices.Clone(changes), ofGroupClass(class))...)(ctx, tb)
	}
}

// groupsLeft are the names of the groups of the testbed, and of the contents that
// belong to it. Groups that are retained and belong to nobody are deleted.
func (r *backupRun) groupsLeft(ctx context.Context) (left []string, err error) {
	groups, contents, err := r.testbed.Groups(ctx, r.testbed.namespace)
	for i := range groups {
		u := &groups[i]
		left = append(left, "group "+u.GetName())
		if r.retained(u) && u.GetDeletionTimestamp() == nil {
			if err := r.testbed.Delete(ctx, u); client.IgnoreNotFound(err) != nil {
				return left, err
			}
		}
	}
	for i := range contents {
		left = append(left, "content "+contents[i].GetName())
	}
	return left, err
}

// orphanGroup is a group of a backup that its status doesn't name, empty where
// there is none.
func (r *backupRun) orphanGroup(ctx context.Context, b *v1alpha1.VolumeBackup) (string, error) {
	groups, _, err := r.testbed.Groups(ctx, r.testbed.namespace)
	for i := range groups {
		u := &groups[i]
		named := b.Status.Quiesce != nil && b.Status.Quiesce.Failure == "" && b.Status.Quiesce.GroupSnapshotName == u.GetName()
		if u.GetLabels()[v1alpha1.LabelBackupUID] == string(b.UID) && !named {
			return u.GetName(), err
		}
	}
	return "", err
}

package main

import (
	"context"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// asGroup begins a story with one backup whose volumes are cut as a group.
func asGroup(faults []string, changes ...change) func(context.Context, *ground) ([]*v1alpha1.VolumeBackup, error) {
	return func(ctx context.Context, g *ground) ([]*v1alpha1.VolumeBackup, error) {
		class, err := g.aGroupClass(ctx, faults...)
		if err != nil {
			return nil, err
		}
		return one(append(slices.Clone(changes), ofGroupClass(class))...)(ctx, g)
	}
}

func ofGroupClass(name string) change {
	return func(s *v1alpha1.VolumeBackupSpec) { s.VolumeGroupSnapshotClassName = &name }
}

// groupsLeft are the names of the groups of the ground, and of the contents that
// belong to it. Groups that are retained and belong to nobody are deleted.
func (r *backupAct) groupsLeft(ctx context.Context) (left []string, err error) {
	groups, contents, err := r.g.Groups(ctx, r.g.namespace)
	for i := range groups {
		u := &groups[i]
		left = append(left, "group "+u.GetName())
		if r.retained(u) && u.GetDeletionTimestamp() == nil {
			if err := r.g.Delete(ctx, u); client.IgnoreNotFound(err) != nil {
				return left, err
			}
		}
	}
	for i := range contents {
		left = append(left, "content "+contents[i].GetName())
	}
	return left, err
}

// strayGroup is a group of a backup that its status doesn't name, empty where
// there is none.
func (r *backupAct) strayGroup(ctx context.Context, b *v1alpha1.VolumeBackup) (string, error) {
	groups, _, err := r.g.Groups(ctx, r.g.namespace)
	for i := range groups {
		u := &groups[i]
		named := b.Status.Quiesce != nil && b.Status.Quiesce.Failure == "" && b.Status.Quiesce.GroupSnapshotName == u.GetName()
		if u.GetLabels()[v1alpha1.LabelBackupUID] == string(b.UID) && !named {
			return u.GetName(), err
		}
	}
	return "", err
}

package live

import (
	"context"
	"maps"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/snapshot/limits"
)

// Backups and restores stay as records: a namespace may have tens of thousands, of
// half a megabyte each. They are read a page at a time, and of each is kept what says
// whose it is and how far it has come. A cache has no pages: these read past it.

// recordsAtOnce is how many are read at once.
const recordsAtOnce = 100

// Backups are all of a namespace, in short: without their volumes and pods, and of
// their settings with no more than where they are exported to.
func (r Reader) Backups(ctx context.Context, namespace string) ([]v1alpha1.VolumeBackup, error) {
	var found []v1alpha1.VolumeBackup
	for next := ""; ; {
		var page v1alpha1.VolumeBackupList
		if err := r.List(ctx, &page, client.InNamespace(namespace), client.Limit(recordsAtOnce), client.Continue(next)); err != nil {
			return nil, err
		}
		for i := range page.Items {
			shortenBackup(&page.Items[i])
		}
		found = append(found, page.Items...)
		if next = page.Continue; next == "" {
			return found, nil
		}
	}
}

func shortenBackup(b *v1alpha1.VolumeBackup) {
	b.ManagedFields, b.Spec.BackupSettings = nil, v1alpha1.BackupSettings{Export: b.Spec.Export}
	b.Status.Volumes, b.Status.Warnings, b.Status.Unthawed = nil, nil, nil
	if b.Status.Quiesce != nil {
		b.Status.Quiesce.Pods = nil
	}
	dropLong(b.Annotations)
}

// Restores are all of a namespace, in short: without how their claims are made.
func (r Reader) Restores(ctx context.Context, namespace string) ([]v1alpha1.VolumeRestore, error) {
	var found []v1alpha1.VolumeRestore
	for next := ""; ; {
		var page v1alpha1.VolumeRestoreList
		if err := r.List(ctx, &page, client.InNamespace(namespace), client.Limit(recordsAtOnce), client.Continue(next)); err != nil {
			return nil, err
		}
		for i := range page.Items {
			ShortenRestore(&page.Items[i])
		}
		found = append(found, page.Items...)
		if next = page.Continue; next == "" {
			return found, nil
		}
	}
}

// ShortenRestore leaves out of a restore what may be long: how its claims are made, and
// long annotations.
func ShortenRestore(v *v1alpha1.VolumeRestore) {
	v.ManagedFields, v.Status.Found = nil, nil
	for i := range v.Status.Claims {
		v.Status.Claims[i].Shape, v.Status.Claims[i].Fill = v1alpha1.ClaimShape{}, nil
	}
	dropLong(v.Annotations)
}

// dropLong leaves out annotations that are longer than any of ours.
func dropLong(annotations map[string]string) {
	maps.DeleteFunc(annotations, func(_, value string) bool { return len(value) > limits.AnnotationBytes })
}

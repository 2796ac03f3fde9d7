package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// Repositories of the rounds are in one volume of their testbed, which is there
// once one is asked for.
const (
	diskClaim      = "disk"
	passwordSecret = "password"
)

// aRepository makes a repository of restic, for this round.
func (tb *testbed) aRepository(ctx context.Context) (name string, err error) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: tb.namespace, Name: passwordSecret}, StringData: map[string]string{"password": "secret"}}
	for _, o := range []client.Object{framework.Claim(tb.namespace, diskClaim), secret} {
		if err := tb.Create(ctx, o); client.IgnoreAlreadyExists(err) != nil {
			return "", err
		}
	}
	r := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Namespace: tb.namespace, Name: "repository-" + strings.ToLower(rand.Text()[:6])}}
	r.Spec.Backend.Volume = &v1alpha1.VolumeBackend{ClaimName: diskClaim, Path: v1alpha1.RepositoryPath(r.Name)}
	r.Spec.PasswordSecretRef = v1alpha1.SecretKeyReference{Name: passwordSecret}
	r.Spec.Mover.Cache = &v1alpha1.MoverCache{Size: resource.MustParse("32Mi")}
	return tb.forThisRound(ctx, r)
}

// exported begins a scenario with one backup that is exported into a repository
// which isn't made yet.
func exported(changes ...change) func(context.Context, *testbed) ([]*v1alpha1.VolumeBackup, error) {
	return func(ctx context.Context, tb *testbed) ([]*v1alpha1.VolumeBackup, error) {
		name, err := tb.aRepository(ctx)
		if err != nil {
			return nil, err
		}
		return one(slices.Concat([]change{exportedTo(name)}, changes)...)(ctx, tb)
	}
}

func exportedTo(repository string) change {
	return func(s *v1alpha1.VolumeBackupSpec) {
		s.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: repository}}
	}
}

// alone has a backup be in its repository alone.
func alone(s *v1alpha1.VolumeBackupSpec) { s.Export.KeepSnapshot = ptr.To(false) }

func isAlone(b *v1alpha1.VolumeBackup) bool {
	return b.Spec.Export != nil && !ptr.Deref(b.Spec.Export.KeepSnapshot, true)
}

// deleteExporting deletes a backup while a mover of its is there.
func deleteExporting(ctx context.Context, tb *testbed, all []*v1alpha1.VolumeBackup) error {
	b := all[0].DeepCopy()
	err := poll(ctx, endLimit, "it is exported", func(ctx context.Context) (string, error) {
		if gone, err := tb.gone(ctx, b); gone || err != nil || ended(b) {
			return "", err
		}
		jobs, err := tb.moversOf(ctx, b)
		return unless(len(jobs) > 0, "it is %s", b.Status.Phase), err
	})
	if err != nil {
		return err
	}
	return client.IgnoreNotFound(tb.Delete(ctx, b))
}

// moversOf are the names of the movers of an object.
func (tb *testbed) moversOf(ctx context.Context, o client.Object) (names []string, err error) {
	var jobs batchv1.JobList
	err = tb.List(ctx, &jobs, client.InNamespace(tb.namespace))
	for i := range jobs.Items {
		if metav1.IsControlledBy(&jobs.Items[i], o) {
			names = append(names, "job "+jobs.Items[i].Name)
		}
	}
	return names, err
}

// madeToMove are the clones, and the movers of backups, that are there.
func (tb *testbed) madeToMove(ctx context.Context) (left []string, err error) {
	var claims corev1.PersistentVolumeClaimList
	if err := tb.List(ctx, &claims, client.InNamespace(tb.namespace), client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}); err != nil {
		return nil, err
	}
	for i := range claims.Items {
		if owner := metav1.GetControllerOf(&claims.Items[i]); owner != nil && owner.Kind == "VolumeBackup" {
			left = append(left, "claim "+claims.Items[i].Name)
		}
	}
	var jobs batchv1.JobList
	err = tb.List(ctx, &jobs, client.InNamespace(tb.namespace))
	for i := range jobs.Items {
		if owner := metav1.GetControllerOf(&jobs.Items[i]); owner != nil && owner.Kind == "VolumeBackup" {
			left = append(left, "job "+jobs.Items[i].Name)
		}
	}
	return left, err
}

// isOfRepository is true for what is there as long as a repository is: the pod of a
// mover that looks into it, and the caches of exports.
func isOfRepository(o client.Object) bool {
	labels := o.GetLabels()
	return labels[v1alpha1.LabelRepository] != "" && labels[v1alpha1.LabelBackup] == "" && labels[v1alpha1.LabelRestore] == ""
}

// checkExported holds a complete backup to what it says of its exports, and of its
// snapshots where it is in its repository alone.
func (r *backupRun) checkExported(ctx context.Context, b *v1alpha1.VolumeBackup) {
	if b.Spec.Export == nil {
		return
	}
	for _, v := range b.Status.Volumes {
		r.wants(v.Export != nil && len(v.Export.SnapshotID) == 64, b, "complete, and claim %s isn't known to be exported", v.ClaimName)
		r.wants(!isAlone(b) || !v.ReadyToUse, b, "in its repository alone, and the snapshot of %s is said to be ready", v.ClaimName)
	}
	left, err := r.testbed.madeToMove(ctx)
	if err != nil {
		r.broke("%v", err)
	}
	r.wants(len(left) == 0, b, "complete, and there are %s", strings.Join(left, ", "))
	if !isAlone(b) {
		return
	}
	snapshots, contents, err := r.testbed.left(ctx)
	if err != nil {
		r.broke("%v", err)
	}
	r.wants(len(snapshots)+len(contents) == 0, b, "in its repository alone, and %d snapshot(s) and %d content(s) are there", len(snapshots), len(contents))
}

// fromRepository restores the run's backup from its repository.
func fromRepository(ctx context.Context, r *restoreRun) error {
	_, err := r.aRestore(ctx, r.ofRepository)
	return err
}

func (r *restoreRun) ofRepository(s *v1alpha1.VolumeRestoreSpec) {
	s.Source = v1alpha1.RestoreSource{Repository: &v1alpha1.RepositorySource{Ref: v1alpha1.RepositoryReference{Name: r.repository}}}
	s.Target.ApplicationRef = ptr.To(r.app.Ref())
}

// deleteFilling deletes a restore while a mover of its is there.
func deleteFilling(ctx context.Context, r *restoreRun) error {
	v, err := r.aRestore(ctx, r.ofRepository)
	if err != nil {
		return err
	}
	err = poll(ctx, endLimit, "its claims are filled", func(ctx context.Context) (string, error) {
		if gone, err := r.testbed.gone(ctx, v); gone || err != nil || framework.RestoreEnded(v) {
			return "", err
		}
		movers, err := r.testbed.moversOf(ctx, v)
		return unless(v.Status.Step == "Fill" && len(movers) > 0, "%s: %s", v.Status.Phase, v.Status.Message), err
	})
	if err != nil {
		return err
	}
	return client.IgnoreNotFound(r.testbed.Delete(ctx, v))
}

// ofPaths has paths alone come back, into new claims. Both volumes have them.
func ofPaths(s *v1alpha1.VolumeRestoreSpec) {
	s.Source.Paths, s.Target.Strategy = []string{"/ledger"}, v1alpha1.StrategyClaimsOnly
}

// toRepository has the run's backup exported into a repository.
func (r *restoreRun) toRepository(ctx context.Context) (change, error) {
	var err error
	if r.repository, err = r.testbed.aRepository(ctx); err != nil {
		return nil, fmt.Errorf("a repository: %w", err)
	}
	return exportedTo(r.repository), nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// The demo's repository, and the claim that it is on. A real one is elsewhere.
const (
	repositoryName = "offsite"
	diskName       = "backup-disk"
)

const mebi = 1 << 20

// openRepository has a repository made. The database's files belong to a user of
// its own, so that the movers are root, which the namespace's administrator lets.
func (d *demo) openRepository(ctx context.Context) (string, error) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if err := d.Merge(ctx, ns, fmt.Sprintf(`{"metadata":{"annotations":{%q:"true"}}}`, v1alpha1.AnnotationPrivilegedMovers)); err != nil {
		return "", err
	}
	r := &v1alpha1.ResticRepository{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: repositoryName}}
	r.Spec.Backend.Volume = &v1alpha1.VolumeBackend{ClaimName: diskName}
	r.Spec.PasswordSecretRef = v1alpha1.SecretKeyReference{Name: "offsite-password"}
	r.Spec.Mover.Privileged = true
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "offsite-password"}, StringData: map[string]string{"password": "of the demo"}}
	if err := d.CreateAll(ctx, secret, framework.Claim(namespace, diskName), r); err != nil {
		return "", err
	}
	err := d.await(ctx, func(ctx context.Context) error {
		if err := d.Get(ctx, client.ObjectKeyFromObject(r), r); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(r.Status.Conditions, v1alpha1.ConditionReady) {
			return fmt.Errorf("the repository isn't ready: %s", r.Status.Message)
		}
		return nil
	})
	return fmt.Sprintf("ResticRepository %s on claim %s; restic can read it without Lull", repositoryName, diskName), err
}

// export backs the database up into the repository, while it is written to.
func (d *demo) export(ctx context.Context) (string, error) {
	if _, err := d.startWriter(ctx); err != nil {
		return "", err
	}
	b, _, err := d.backUpAs(ctx, "exported", func(s *v1alpha1.VolumeBackupSpec) {
		s.Export = &v1alpha1.ExportSpec{RepositoryRef: v1alpha1.RepositoryReference{Name: repositoryName}}
	})
	if err != nil {
		return "", err
	}
	pause, err := d.pauseOf(ctx, b)
	d.committed = pause.Rows
	e := b.Status.Volumes[0].Export
	return fmt.Sprintf("VolumeBackup %s %s, frozen for %d ms; snapshot %.8s of restic, %.1f MiB read, %.1f MiB uploaded", b.Name, b.Status.Consistency,
		b.Status.Quiesce.FrozenFor.Milliseconds(), e.SnapshotID, e.Processed.AsApproximateFloat64()/mebi, e.Uploaded.AsApproximateFloat64()/mebi), err
}

// loseAll deletes the database, its claims, all backups and with them all snapshots.
func (d *demo) loseAll(ctx context.Context) (string, error) {
	d.stopWriter()
	d.writer = nil
	policy := &v1alpha1.SnapshotPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: policyName}}
	claim := framework.Claim(namespace, d.db.Claims[0])
	for _, o := range []client.Object{policy, d.db.Workload(), claim} {
		if err := d.Delete(ctx, o); err != nil {
			return "", err
		}
	}
	if err := d.DeleteAllOf(ctx, &v1alpha1.VolumeBackup{}, client.InNamespace(namespace)); err != nil {
		return "", err
	}
	return "the database, its claim, every backup and every snapshot are gone", d.await(ctx, func(ctx context.Context) error {
		var backups v1alpha1.VolumeBackupList
		if err := d.List(ctx, &backups, client.InNamespace(namespace)); err != nil || len(backups.Items) > 0 {
			return errors.Join(err, fmt.Errorf("%d backups are there", len(backups.Items)))
		}
		if err := d.Get(ctx, client.ObjectKeyFromObject(claim), claim); client.IgnoreNotFound(err) != nil || err == nil {
			return errors.Join(err, errors.New("the claim is there"))
		}
		return nil
	})
}

// bringBack starts a new and empty database, and gives it what the repository has.
func (d *demo) bringBack(ctx context.Context) (string, error) {
	if _, err := d.ready(ctx, d.db); err != nil {
		return "", err
	}
	ref := d.db.Ref()
	d.back = &v1alpha1.VolumeRestore{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "from-offsite"}}
	d.back.Spec.Source.Repository = &v1alpha1.RepositorySource{Ref: v1alpha1.RepositoryReference{Name: repositoryName}}
	d.back.Spec.Target.ApplicationRef = &ref
	if err := d.Create(ctx, d.back); err != nil {
		return "", err
	}
	ledger, err := d.restored(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("a new MariaDB, and VolumeRestore %s from the repository: down for %s; %d rows, %d were committed before the freeze, none is missing or damaged",
		d.back.Name, d.back.Status.Downtime.Round(time.Millisecond), ledger.Rows, d.committed), check(ledger, d.committed)
}

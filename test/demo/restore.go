package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// breakIt is what people fear: the table is dropped.
func (d *demo) breakIt(ctx context.Context) (string, error) {
	d.stopWriter()
	pod, err := d.database(ctx)
	if err != nil {
		return "", err
	}
	if _, err := d.MariaDBIn(pod).Query(ctx, "DROP TABLE ledger"); err != nil {
		return "", err
	}
	return "the table with all its rows is dropped", d.tableIsGone(ctx)
}

// restore brings the backup back under the first database.
func (d *demo) restore(ctx context.Context) (string, error) {
	d.back = &v1alpha1.VolumeRestore{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "first-back"},
		Spec: v1alpha1.VolumeRestoreSpec{
			Source: v1alpha1.RestoreSource{VolumeBackupRef: &v1alpha1.LocalReference{Name: d.made.Name}},
		},
	}
	if err := d.Create(ctx, d.back); err != nil {
		return "", err
	}
	ledger, err := d.restored(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("VolumeRestore %s by %s: down for %s; %d rows are back, none is missing or damaged",
		d.back.Name, d.back.Status.Strategy, d.back.Status.Downtime.Round(time.Millisecond), ledger.Rows), check(ledger, d.committed)
}

// restored is what the database holds once the restore is complete.
func (d *demo) restored(ctx context.Context) (framework.Ledger, error) {
	if err := d.awaitRestore(ctx, v1alpha1.ConditionComplete); err != nil {
		return framework.Ledger{}, err
	}
	pod, err := d.database(ctx)
	if err != nil {
		return framework.Ledger{}, err
	}
	return d.MariaDBIn(pod).ReadLedger(ctx)
}

// undo rolls the restore back: the data that it replaced was kept.
func (d *demo) undo(ctx context.Context) (string, error) {
	base := d.back.DeepCopy()
	d.back.Spec.RollBack = true
	if err := d.Patch(ctx, d.back, client.MergeFrom(base)); err != nil {
		return "", err
	}
	if err := d.awaitRestore(ctx, v1alpha1.ConditionRolledBack); err != nil {
		return "", err
	}
	return "rollBack: true, and the database is on the volume it had, as it was before the restore: without the table", d.tableIsGone(ctx)
}

// awaitRestore waits for a condition of the restore, or its failure.
func (d *demo) awaitRestore(ctx context.Context, condition string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var failed error
	err := d.await(ctx, func(ctx context.Context) error {
		if err := d.Get(ctx, client.ObjectKeyFromObject(d.back), d.back); err != nil {
			return err
		}
		status := d.back.Status
		if meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionFailed) {
			failed = errors.New(status.Message)
			return nil
		}
		if !meta.IsStatusConditionTrue(status.Conditions, condition) {
			return fmt.Errorf("the restore is %s: %s", status.Phase, status.Message)
		}
		return nil
	})
	return errors.Join(failed, err)
}

// tableIsGone is an error where the table can still be read.
func (d *demo) tableIsGone(ctx context.Context) error {
	pod, err := d.database(ctx)
	if err != nil {
		return err
	}
	_, err = d.MariaDBIn(pod).ReadLedger(ctx)
	if err == nil {
		return errors.New("the table is there, and should not be")
	}
	if !strings.Contains(err.Error(), "doesn't exist") {
		return err
	}
	return nil
}

// database is the pod of the first database, once it is ready.
func (d *demo) database(ctx context.Context) (pod *corev1.Pod, err error) {
	err = d.await(ctx, func(ctx context.Context) error {
		pods, err := d.ReadyPods(ctx, d.db)
		if err == nil {
			pod = &pods[0]
		}
		return err
	})
	return pod, err
}

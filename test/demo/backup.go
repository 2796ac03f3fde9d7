package main

import (
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// backUp asks for a backup and tells what becomes of it.
func (d *demo) backUp(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	changes, err := d.Watch(ctx, &v1alpha1.VolumeBackupList{}, client.InNamespace(namespace))
	if err != nil {
		return "", err
	}
	defer changes.Stop()
	d.made = framework.NewBackup(namespace, d.db.Ref())
	d.made.Name = "first"
	if err := d.Create(ctx, d.made); err != nil {
		return "", err
	}
	said := ""
	for {
		select {
		case change := <-changes.ResultChan():
			b, ok := change.Object.(*v1alpha1.VolumeBackup)
			if !ok {
				return "", errors.New("the watch of the backup ended")
			}
			if d.made = b; ended(b) {
				return fmt.Sprintf("VolumeBackup %s %s: %s", b.Name, b.Status.Phase, progress(b)), failure(b)
			}
			if now := progress(b); now != said && now != "" {
				said = now
				d.say.meanwhile("%s", said)
			}
		case <-ctx.Done():
			return "", fmt.Errorf("%s: %w", d.made.Status.Message, ctx.Err())
		}
	}
}

// progress is one line on a backup under way.
func progress(b *v1alpha1.VolumeBackup) string {
	const clock = "15:04:05.000"
	q := b.Status.Quiesce
	switch {
	case q == nil:
		return ""
	case q.ThawedAt == nil:
		return "quieting since " + q.StartedAt.Local().Format(clock)
	case q.FrozenAt == nil || q.CutAt == nil:
		return "thawed at " + q.ThawedAt.Local().Format(clock) + ", to be tried again: " + b.Status.Message
	}
	return fmt.Sprintf("frozen %s, cut %s, thawed %s", q.FrozenAt.Local().Format(clock), q.CutAt.Local().Format(clock), q.ThawedAt.Local().Format(clock))
}

func ended(b *v1alpha1.VolumeBackup) bool {
	return framework.BackupEnded(b)
}

func failure(b *v1alpha1.VolumeBackup) error {
	if framework.BackupIs(b, v1alpha1.ConditionFailed) {
		return errors.New(b.Status.Message)
	}
	return nil
}

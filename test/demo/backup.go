package main

import (
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

func (d *demo) backUp(ctx context.Context) (said string, err error) {
	d.made, said, err = d.backUpAs(ctx, "first")
	return said, err
}

// backUpAs asks for a backup and tells what becomes of it.
func (d *demo) backUpAs(ctx context.Context, name string, changes ...framework.Change) (*v1alpha1.VolumeBackup, string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	happens, err := d.Watch(ctx, &v1alpha1.VolumeBackupList{}, client.InNamespace(namespace))
	if err != nil {
		return nil, "", err
	}
	defer happens.Stop()
	made := framework.NewBackup(namespace, d.db.Ref(), changes...)
	made.Name = name
	if err := d.Create(ctx, made); err != nil {
		return nil, "", err
	}
	said := ""
	for {
		select {
		case change := <-happens.ResultChan():
			b, ok := change.Object.(*v1alpha1.VolumeBackup)
			if !ok {
				return nil, "", errors.New("the watch of the backup ended")
			}
			if b.Name != name {
				continue
			}
			if made = b; ended(b) {
				return b, fmt.Sprintf("VolumeBackup %s %s: %s", b.Name, b.Status.Phase, progress(b)), failure(b)
			}
			if now := progress(b); now != said && now != "" {
				said = now
				d.say.meanwhile("%s", said)
			}
		case <-ctx.Done():
			return nil, "", fmt.Errorf("%s: %w", made.Status.Message, ctx.Err())
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

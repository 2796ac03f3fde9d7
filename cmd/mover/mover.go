package main

import (
	"context"
	"time"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// mover does one task.
type mover struct {
	restic *restic
	// oldPassword is the path of the password that is taken away.
	oldPassword string
	// data is the path of the volume, device that of one of raw blocks, and from that
	// of one that is copied from.
	data, device, from string
	// repository is restic's name for the place of the repository.
	repository string
	now        func() time.Time
}

// do does a task. What it yields is in the result, and so is why it wasn't done.
func (m *mover) do(ctx context.Context, task resticexport.Task) resticexport.Result {
	var result resticexport.Result
	start := m.now()
	if err := m.withCache(ctx, task, &result); err != nil {
		tell(&result, err)
	} else {
		result.Done = true
	}
	result.Seconds = m.now().Sub(start).Seconds()
	return result
}

func (m *mover) act(ctx context.Context, task resticexport.Task, result *resticexport.Result) error {
	switch {
	case task.Open != nil:
		return m.open(ctx, task.Open, result)
	case task.Init != nil:
		return m.init(ctx, task.Init, result)
	case task.Backup != nil:
		return m.backup(ctx, task.Backup, result)
	case task.Find != nil:
		return m.find(ctx, task.Find, result)
	case task.Restore != nil:
		return m.restore(ctx, task.Restore, result)
	case task.Copy != nil:
		return m.copy(ctx, task.Copy, result)
	case task.Forget != nil:
		return m.forget(ctx, task.Forget, result)
	case task.Retain != nil:
		return m.retain(ctx, task.Retain, result)
	case task.CopySnapshots != nil:
		return m.copySnapshots(ctx, task.CopySnapshots, result)
	case task.Check != nil:
		return m.check(ctx, task.Check, result)
	case task.Prune != nil:
		return m.prune(ctx, task.Prune)
	case task.Unlock != nil:
		return m.unlock(ctx, task.Unlock, result)
	case task.Rekey != nil:
		return m.rekey(ctx)
	}
	return failed(resticexport.CauseInvalid, "the task is empty")
}

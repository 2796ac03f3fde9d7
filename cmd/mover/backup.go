package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// backup exports the volume. It is done where restic says so and the repository
// lists the snapshot.
func (m *mover) backup(ctx context.Context, task *resticexport.Backup, result *resticexport.Result) error {
	before, from, err := m.lookBefore(ctx, task)
	if err != nil {
		return err
	}
	if err := mayBeTaken(task, from, before); err != nil {
		return err
	}
	summary, err := m.take(ctx, task, parentOf(before), from)
	if err != nil {
		result.Leftover = m.clear(ctx, summary.SnapshotID)
		return err
	}
	if summary.SnapshotID == "" {
		return failed(resticexport.CauseNotVerified, "restic ended well, but named no snapshot")
	}
	if _, err := m.snapshot(ctx, summary.SnapshotID); err != nil {
		return notVerified(err, summary.SnapshotID)
	}
	result.Backup = &resticexport.ExportedSnapshot{
		SnapshotID: summary.SnapshotID, IsEmpty: from.IsEmpty,
		FilesNew: summary.FilesNew, FilesChanged: summary.FilesChanged, FilesUnmodified: summary.FilesUnmodified,
		BytesProcessed: summary.TotalBytesProcessed, BytesUploaded: summary.DataAddedPacked,
	}
	return nil
}

// lookBefore looks at the claim's snapshots and at the volume, at once: to open a
// repository takes as long as to go through many files.
func (m *mover) lookBefore(ctx context.Context, task *resticexport.Backup) (before []resticexport.ResticSnapshot, from resticexport.BackupSource, err error) {
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() (err error) {
		before, err = m.before(ctx, task)
		return err
	})
	both.Go(func() (err error) {
		from, err = m.source(ctx, task)
		return err
	})
	err = both.Wait()
	return before, from, err
}

// before are the claim's snapshots, oldest first, or the one alone that the task names
// as its parent: without a cache restic loads each that it lists, one by one. A name is
// only believed of a snapshot of this claim: restic doesn't read a file again that
// looks unchanged, and in another volume one of the same looks has other content.
func (m *mover) before(ctx context.Context, task *resticexport.Backup) ([]resticexport.ResticSnapshot, error) {
	isOther := func(s resticexport.ResticSnapshot) bool {
		tags, _ := s.Tagged()
		return s.Hostname != task.Host || tags.Claim != task.Claim
	}
	if task.Parent != "" {
		named, err := m.snapshot(ctx, task.Parent)
		switch {
		case err == nil && !isOther(named):
			return []resticexport.ResticSnapshot{named}, nil
		case err != nil && !isNotFound(err):
			return nil, err
		}
	}
	all, err := m.ours(ctx, task.Host)
	return slices.DeleteFunc(all, isOther), err
}

func isNotFound(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.cause == resticexport.CauseNotFound
}

func notVerified(err error, id string) error {
	if isNotFound(err) {
		return failed(resticexport.CauseNotVerified, "restic made snapshot %s, but the repository doesn't list it", id)
	}
	return err
}

// parentOf is the snapshot to compare with: the newest.
func parentOf(before []resticexport.ResticSnapshot) string {
	if len(before) == 0 {
		return ""
	}
	return before[len(before)-1].ID
}

// take runs the backup.
func (m *mover) take(ctx context.Context, task *resticexport.Backup, parent string, from resticexport.BackupSource) (resticexport.Message, error) {
	what := run{args: task.Command(parent, from)}
	if task.Device {
		device, err := os.Open(m.device)
		if err != nil {
			return resticexport.Message{}, failed(resticexport.CauseSourceUnreadable, "the device can't be read: %v", err)
		}
		defer func() { _ = device.Close() }() // it was only read
		what.stdin = device
	}
	return m.restic.talk(ctx, what)
}

// waitToClear is how long others, who don't let a snapshot be forgotten, are waited
// for.
const waitToClear = 30 * time.Second

// clear forgets what a backup left that failed. It is the snapshot's ID where that
// remains. A backup that was told to end has made none.
func (m *mover) clear(ctx context.Context, id string) string {
	if id == "" {
		return ""
	}
	forget := resticexport.Forget{IDs: []string{id}}
	if _, err := m.restic.talk(ctx, run{args: forget.Command(), wait: waitToClear}); err != nil {
		return id
	}
	return ""
}

// source is how the volume is taken.
func (m *mover) source(ctx context.Context, task *resticexport.Backup) (resticexport.BackupSource, error) {
	from := resticexport.BackupSource{Path: m.data}
	if task.Device {
		return from, nil
	}
	if _, err := os.Stat(m.data); err != nil {
		return from, failed(resticexport.CauseSourceUnreadable, "the volume can't be read: %v", err)
	}
	var err error
	if from.Root, err = rootOf(m.data); err != nil {
		return from, err
	}
	if lost := filepath.Join(m.data, resticexport.LostAndFound); isNothing(lost) {
		from.Excludes = []string{lost}
	}
	seen := survey{excludes: from.Excludes}
	if err := seen.folder(ctx, m.data); err != nil {
		return from, err
	}
	if err := seen.failure(); err != nil {
		return from, err
	}
	from.IsEmpty = !seen.hasFile
	return from, nil
}

// mayBeTaken is an error for a volume without a file, unless the last one had none
// too.
func mayBeTaken(task *resticexport.Backup, from resticexport.BackupSource, before []resticexport.ResticSnapshot) error {
	wasEmpty := false
	if len(before) > 0 {
		tags, _ := before[len(before)-1].Tagged()
		wasEmpty = tags.IsEmpty
	}
	if from.IsEmpty && !task.AllowEmpty && !wasEmpty {
		return failed(resticexport.CauseEmpty, "the volume of claim %s has no file", task.Claim)
	}
	return nil
}

// isNothing is true of a folder that holds nothing, or that root keeps to itself.
// A new file system has one at its root.
func isNothing(folder string) bool {
	entries, err := os.ReadDir(folder)
	return errors.Is(err, fs.ErrPermission) || err == nil && len(entries) == 0
}

package main

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"os"
	"slices"
	"strings"

	resticexport "github.com/lull-dev/lull/restic-export"
)

func (m *mover) restore(ctx context.Context, task *resticexport.Restore, result *resticexport.Result) error {
	s, err := m.snapshot(ctx, task.SnapshotID)
	if err != nil {
		return err
	}
	if s.IsDevice() != task.Device {
		return failed(resticexport.CauseInvalid, "snapshot %s is of %s, and the volume is %s", s.ID, shape(s.IsDevice()), shape(task.Device))
	}
	if task.Device {
		return m.restoreDevice(ctx, task, result)
	}
	tags, _ := s.Tagged()
	// A snapshot of an empty volume holds the folder itself.
	if tags.IsEmpty && task.Folder == "" && len(s.Paths) == 1 {
		task.Folder = s.Paths[0]
	}
	if err := m.havePaths(ctx, task); err != nil {
		return err
	}
	place, err := openPlace(m.data, task.Into)
	if err != nil {
		return err
	}
	defer place.close()
	summary, err := m.restic.talk(ctx, run{args: task.Command(place.path())})
	if err != nil {
		return err
	}
	if err := place.take(); err != nil {
		return err
	}
	if len(task.Paths) == 0 {
		if err := restoreRoot(m.data, tags.Root); err != nil {
			return err
		}
	}
	result.Restore = &resticexport.RestoredFiles{
		Files: summary.FilesRestored, Bytes: summary.BytesRestored, Skipped: summary.FilesSkipped, Deleted: summary.FilesDeleted,
	}
	return nil
}

func shape(isDevice bool) string {
	if isDevice {
		return "a device of raw blocks"
	}
	return "a file system"
}

// havePaths is an error where the snapshot lacks a path that is asked for, of
// which restic says nothing.
func (m *mover) havePaths(ctx context.Context, task *resticexport.Restore) error {
	if len(task.Paths) == 0 {
		return nil
	}
	missing := slices.Clone(task.Paths)
	listing := &lines{each: func(line []byte) {
		if node, is := resticexport.ReadMessage(line); is && node.Kind == resticexport.KindNode {
			missing = slices.DeleteFunc(missing, func(p string) bool { return p == node.Path })
		}
	}}
	err := m.restic.run(ctx, run{args: task.ListCommand(), stdout: listing})
	listing.flush()
	if err == nil && len(missing) > 0 {
		return failed(resticexport.CauseNotFound, "the snapshot has no %s", strings.Join(missing, ", "))
	}
	return err
}

// restoreDevice writes the snapshot onto the device, and reads it again.
func (m *mover) restoreDevice(ctx context.Context, task *resticexport.Restore, result *resticexport.Result) error {
	device, err := os.OpenFile(m.device, os.O_RDWR, 0)
	if err != nil {
		return failed(resticexport.CauseFailed, "the device can't be written: %v", err)
	}
	defer func() { _ = device.Close() }() // it is synced before
	sum := &counted{Hash: sha256.New()}
	if err := m.restic.run(ctx, run{args: task.DumpCommand(), stdout: io.MultiWriter(device, sum)}); err != nil {
		return err
	}
	if err := device.Sync(); err != nil {
		return failed(resticexport.CauseFailed, "the device can't be written: %v", err)
	}
	if err := sum.verify(device); err != nil {
		return err
	}
	result.Restore = &resticexport.RestoredFiles{Files: 1, Bytes: sum.bytes}
	return nil
}

// counted is a checksum of so many bytes.
type counted struct {
	hash.Hash
	bytes int64
}

// Write adds to it. It never fails.
func (c *counted) Write(p []byte) (int, error) {
	c.bytes += int64(len(p))
	return c.Hash.Write(p)
}

func (c *counted) verify(device io.ReaderAt) error {
	again := sha256.New()
	n, err := io.Copy(again, io.NewSectionReader(device, 0, c.bytes))
	switch {
	case err != nil:
		return failed(resticexport.CauseFailed, "the device can't be read again: %v", err)
	case n != c.bytes || string(again.Sum(nil)) != string(c.Sum(nil)):
		return failed(resticexport.CauseDamaged, "the device doesn't hold what was written to it")
	}
	return nil
}

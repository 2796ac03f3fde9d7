package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path"

	"golang.org/x/sys/unix"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// flush has all that was written onto the disk.
func flush(to *os.Root) error {
	root, err := to.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return named("syncfs", ".", unix.Syncfs(int(root.Fd())))
}

// verify compares what was copied with what it was copied from: what it is, where a
// link leads, and each byte of a file as the disk has it. p is its path.
func (c *copier) verify(ctx context.Context, from, to *folder, name, p string) error {
	if c.at = p; ctx.Err() != nil {
		return ctx.Err()
	}
	was, err := from.stat(name)
	if err != nil {
		return err
	}
	kind := was.Mode & unix.S_IFMT
	if kind == unix.S_IFSOCK {
		return nil
	}
	is, err := to.stat(name)
	if err != nil {
		return err
	}
	if is.Mode&unix.S_IFMT != kind || is.Rdev != was.Rdev {
		return errDiffers
	}
	switch kind {
	case unix.S_IFDIR:
		return below(from, to, name, func(from, to *folder, name string) error { return c.verify(ctx, from, to, name, path.Join(p, name)) })
	case unix.S_IFLNK:
		return verifyLink(from, to, name)
	case unix.S_IFREG:
		return verifyContent(ctx, from, to, name)
	}
	return nil
}

var errDiffers = &failure{cause: resticexport.CauseDamaged, message: "it doesn't hold what was written to it"}

func verifyLink(from, to *folder, name string) error {
	led, err := from.Readlink(name)
	if err != nil {
		return unreadable(err)
	}
	leads, err := to.Readlink(name)
	if err == nil && leads != led {
		return errDiffers
	}
	return err
}

func verifyContent(ctx context.Context, from, to *folder, name string) error {
	source, err := from.Open(name)
	if err != nil {
		return unreadable(err)
	}
	defer func() { _ = source.Close() }()
	target, err := to.Open(name)
	if errors.Is(err, os.ErrPermission) {
		return nil // its mode keeps its owner out too, who wrote it
	}
	if err != nil {
		return err
	}
	defer func() { _ = target.Close() }()
	// What is read comes from the disk, not from memory. It is a hint alone.
	_ = unix.Fadvise(int(target.Fd()), 0, 0, unix.FADV_DONTNEED)
	isSame, err := same(ctx, source, target)
	if err == nil && !isSame {
		return errDiffers
	}
	return err
}

// same compares two files, where at least one of them has data.
func same(ctx context.Context, source, target *os.File) (bool, error) {
	was, err := source.Stat()
	if err != nil {
		return false, unreadable(err)
	}
	is, err := target.Stat()
	if err != nil || is.Size() != was.Size() {
		return false, err
	}
	wanted, got := make([]byte, portion), make([]byte, portion)
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		at = min(nextData(source, at, was.Size()), nextData(target, at, was.Size()))
		if at >= was.Size() {
			return true, nil
		}
		n, err := source.ReadAt(wanted, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, unreadable(err)
		}
		m, err := target.ReadAt(got, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if n == 0 || !bytes.Equal(wanted[:n], got[:m]) {
			return false, nil
		}
		at += int64(n)
	}
}

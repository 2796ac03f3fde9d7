package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// portion is how much of a file is read, and compared, at once. One that is zeros
// alone becomes a hole.
const portion = 64 << 10

var zeros [portion]byte

// copyContent copies what is in a file.
func (c *copier) copyContent(ctx context.Context, from, to *folder, name string) error {
	source, err := from.Open(name)
	if err != nil {
		return unreadable(err)
	}
	defer func() { _ = source.Close() }()
	target, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	size, err := copyData(ctx, source, target)
	if err == nil {
		err = target.Truncate(size) // it may end in a hole
	}
	c.bytes += size
	return errors.Join(err, target.Close())
}

// copyData copies all of a file but its holes. It is the size of the file.
func copyData(ctx context.Context, source, target *os.File) (size int64, err error) {
	info, err := source.Stat()
	if err != nil {
		return 0, unreadable(err)
	}
	buffer := make([]byte, portion)
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if at = nextData(source, at, info.Size()); at >= info.Size() {
			return info.Size(), nil
		}
		n, err := source.ReadAt(buffer, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, unreadable(err)
		}
		if n == 0 {
			return at, nil
		}
		if !isZero(buffer[:n]) {
			if _, err := target.WriteAt(buffer[:n], at); err != nil {
				return 0, err
			}
		}
		at += int64(n)
	}
}

// nextData is where a file has data next, from a place on; its end where a hole
// follows to the end. A file system that doesn't know holes has data everywhere.
func nextData(f *os.File, at, end int64) int64 {
	next, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return end
	case err != nil:
		return at
	}
	return next
}

func isZero(data []byte) bool { return bytes.Equal(data, zeros[:len(data)]) }

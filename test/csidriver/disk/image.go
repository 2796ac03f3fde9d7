package disk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Create makes a sparse image of that many bytes. A file that is there already
// is what an interrupted call left, and is replaced.
func Create(image string, size int64) error {
	file, err := createAnew(image)
	if err != nil {
		return err
	}
	return errors.Join(file.Truncate(size), file.Close())
}

// Clone makes the target a copy of the image as it is at one instant.
func Clone(image, target string) error {
	source, err := os.Open(image)
	if err != nil {
		return err
	}
	defer source.Close()
	file, err := createAnew(target)
	if err != nil {
		return err
	}
	if err := unix.IoctlFileClone(int(file.Fd()), int(source.Fd())); err != nil {
		return errors.Join(fmt.Errorf("clone %s: %w", image, err), file.Close(), os.Remove(target))
	}
	return file.Close()
}

// createAnew never opens what is there: a loop device may still hold it.
func createAnew(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// Size returns the image's size in bytes.
func Size(image string) (int64, error) {
	info, err := os.Stat(image)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Grow makes the image that large; an image that is as large is left alone.
func Grow(image string, size int64) error {
	now, err := Size(image)
	if err != nil || now >= size {
		return err
	}
	return os.Truncate(image, size)
}

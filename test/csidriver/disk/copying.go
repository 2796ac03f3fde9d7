package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	copydir "github.com/otiai10/copy"
)

// chunk is how much of a file is copied between two pauses, in bytes.
const chunk = 4 << 20

// CopyFiles copies the files of the image's ext4 file system into a new image,
// one after another in the order of their names, with a pause before each file
// and after each 4 MiB of one. A pod may go on writing meanwhile, and unless it
// stands still the copy is of no single instant: that is what this is for.
func (p *Pool) CopyFiles(image, target string, pause time.Duration) (err error) {
	dir := filepath.Join(p.work, filepath.Base(target))
	defer func() { err = errors.Join(err, os.Remove(dir)) }()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")

	closeSource, err := open(image, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSource()) }()
	if err := createLike(image, target); err != nil {
		return err
	}
	closeTarget, err := open(target, to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeTarget()) }()
	return copydir.Copy(from, to, slowly(pause))
}

func createLike(image, target string) error {
	size, err := Size(image)
	if err != nil {
		return err
	}
	if err := Create(target, size); err != nil {
		return err
	}
	return Format(target)
}

// open mounts the image at the path. A device that a pod uses is mounted a
// second time, shows the same files, and is left attached afterwards.
func open(image, path string) (shut func() error, err error) {
	inUse, err := Device(image)
	if err != nil {
		return nil, err
	}
	device, err := Attach(image)
	if err != nil {
		return nil, err
	}
	detach := func() error {
		if inUse != "" {
			return nil
		}
		return Detach(device)
	}
	if err := Mount(device, path, "ext4", []string{"noatime"}); err != nil {
		return nil, errors.Join(err, os.Remove(path), detach())
	}
	return func() error { return errors.Join(UnmountAndRemove(path), detach()) }, nil
}

func slowly(pause time.Duration) copydir.Options {
	return copydir.Options{
		PreserveOwner:  true,
		PreserveTimes:  true,
		CopyBufferSize: chunk,
		OnSymlink:      func(string) copydir.SymlinkAction { return copydir.Shallow },
		Skip: func(info os.FileInfo, _, _ string) (bool, error) {
			if !info.IsDir() {
				time.Sleep(pause)
			}
			// A socket is nobody's data, and reading one fails.
			return info.Mode()&os.ModeSocket != 0, nil
		},
		WrapReader: func(file io.Reader) io.Reader { return newSlowReader(file, pause) },
		OnError: func(_, _ string, err error) error {
			if errors.Is(err, os.ErrNotExist) {
				return nil // the pod removed it meanwhile
			}
			return err
		},
	}
}

// CopyBytes copies a raw image from its start to its end, with a pause before
// each 4 MiB.
func CopyBytes(image, target string, pause time.Duration) error {
	source, err := os.Open(image)
	if err != nil {
		return err
	}
	defer source.Close()
	file, err := createAnew(target)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{file}, newSlowReader(source, pause), make([]byte, chunk))
	return errors.Join(err, file.Close())
}

// slowReader pauses before each read but the first, and ends at the size that
// the file had when the copy came to it: a pod that goes on appending would
// otherwise be copied for ever.
type slowReader struct {
	from  io.Reader
	left  int64
	pause time.Duration
	begun bool
}

func newSlowReader(file io.Reader, pause time.Duration) io.Reader {
	sized, ok := file.(interface{ Stat() (os.FileInfo, error) })
	if !ok {
		return failedReader{errors.New("a file that has no size")}
	}
	info, err := sized.Stat()
	if err != nil {
		return failedReader{err}
	}
	return &slowReader{from: file, left: info.Size(), pause: pause}
}

func (r *slowReader) Read(into []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if r.begun {
		time.Sleep(r.pause)
	}
	r.begun = true
	n, err := r.from.Read(into[:min(int64(len(into)), r.left)])
	r.left -= int64(n)
	return n, err
}

type failedReader struct{ err error }

func (r failedReader) Read([]byte) (int, error) { return 0, r.err }

package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// Paths are copied from one volume to another without restic, in four files:
//
//	copy.go          which paths, in which order; a folder with all that is below
//	copycontent.go   what is in a file, with its holes
//	copyattributes.go owners, modes, times, extended attributes
//	copyverify.go    what was written, compared with what was read
//
// Whose volumes they are may have put anything there. Every name is looked up below
// an os.Root, so that no symbolic link leads out of a volume, and none is followed
// at all: one that is copied stays one, and one on the way to a path is refused.

// copier copies from one volume to another.
type copier struct {
	from, to *os.Root
	// links are the files with several names, and the first that each got.
	links map[inode]string
	// parents were made on the way to the paths.
	parents []string
	// at is the path that it is at, for people.
	at    string
	files int64
	bytes int64
}

// inode is a file, whatever its names.
type inode struct{ device, number uint64 }

func (m *mover) copy(ctx context.Context, task *resticexport.Copy, result *resticexport.Result) error {
	from, err := os.OpenRoot(m.from)
	if err != nil {
		return failed(resticexport.CauseSourceUnreadable, "the snapshot's volume can't be reached: %v", err)
	}
	defer func() { _ = from.Close() }()
	place, err := openPlace(m.data, task.Into)
	if err != nil {
		return err
	}
	defer place.close()
	to, err := place.root()
	if err != nil {
		return failed(resticexport.CauseFailed, "the volume can't be reached: %v", err)
	}
	defer func() { _ = to.Close() }()
	c := &copier{from: from, to: to, links: map[inode]string{}}
	if err := c.copyAll(ctx, task.Paths); err != nil {
		return c.failure(ctx, err)
	}
	if err := place.take(); err != nil {
		return err
	}
	result.Restore = &resticexport.RestoredFiles{Files: c.files, Bytes: c.bytes}
	return nil
}

// copyAll copies paths, and compares them once all of them are on the disk.
func (c *copier) copyAll(ctx context.Context, asked []string) error {
	if err := c.havePaths(asked); err != nil {
		return err
	}
	paths := outermost(asked)
	for _, p := range paths {
		if err := c.copyPath(ctx, p); err != nil {
			return err
		}
	}
	// A folder that is written into gets another time, so its own come last.
	slices.Sort(c.parents)
	for _, p := range slices.Backward(c.parents) {
		c.at = p
		if err := within(c.from, c.to, p, copyAttributes); err != nil {
			return err
		}
	}
	if err := flush(c.to); err != nil {
		return err
	}
	for _, p := range paths {
		if err := within(c.from, c.to, p, func(from, to *folder, name string) error { return c.verify(ctx, from, to, name, p) }); err != nil {
			return err
		}
	}
	return nil
}

// outermost are the paths, below the volume's root, that aren't below another.
func outermost(paths []string) []string {
	var outer []string
	for _, p := range slices.Sorted(slices.Values(paths)) {
		isBelow := func(o string) bool { return p == o || strings.HasPrefix(p, o+"/") }
		if p = strings.TrimPrefix(p, "/"); !slices.ContainsFunc(outer, isBelow) {
			outer = append(outer, p)
		}
	}
	return outer
}

// havePaths is an error where the volume lacks a path, before anything is written.
func (c *copier) havePaths(paths []string) error {
	var missing []string
	for _, p := range paths {
		err := c.isReal(strings.TrimPrefix(p, "/"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			missing = append(missing, p)
		} else if err != nil {
			return unreadable(err)
		}
	}
	if len(missing) > 0 {
		return failed(resticexport.CauseNotFound, "the snapshot has no %s", strings.Join(missing, ", "))
	}
	return nil
}

// isReal is an error where a path isn't there, or leads over a symbolic link.
func (c *copier) isReal(p string) error {
	for i := range p {
		if p[i] != '/' {
			continue
		}
		if info, err := c.from.Lstat(p[:i]); err != nil {
			return err
		} else if info.Mode()&fs.ModeSymlink != 0 {
			leads, _ := c.from.Readlink(p[:i])
			return failed(resticexport.CauseNotFound, "/%s is a symbolic link to %s, which isn't followed: write the path that /%s leads to", p[:i], leads, p)
		}
	}
	_, err := c.from.Lstat(p)
	return err
}

// copyPath copies one path, with the folders on the way to it. What an attempt
// before has left of it goes first.
func (c *copier) copyPath(ctx context.Context, p string) error {
	c.at = p
	for i := range p {
		if p[i] != '/' {
			continue
		}
		if err := c.onTheWay(p[:i]); err != nil {
			return err
		}
	}
	if err := removeAll(c.to, p); err != nil {
		return err
	}
	return within(c.from, c.to, p, func(from, to *folder, name string) error { return c.copyOne(ctx, from, to, name, p) })
}

// onTheWay makes a folder on the way to a path. One that is there already was made
// by this mover or by one before, which may have given it its own mode.
func (c *copier) onTheWay(p string) error {
	if slices.Contains(c.parents, p) {
		return nil
	}
	err := c.to.Mkdir(p, 0o700)
	if errors.Is(err, fs.ErrExist) {
		err = c.to.Chmod(p, 0o700)
	}
	c.parents = append(c.parents, p)
	return err
}

// copyOne copies what has a name in a folder; p is its path. A socket is nobody's
// data: whoever listens makes it.
func (c *copier) copyOne(ctx context.Context, from, to *folder, name, p string) error {
	if c.at = p; ctx.Err() != nil {
		return ctx.Err()
	}
	is, err := from.stat(name)
	if err != nil {
		return err
	}
	kind := is.Mode & unix.S_IFMT
	if kind == unix.S_IFSOCK {
		return nil
	}
	if kind != unix.S_IFDIR && is.Nlink > 1 {
		id := inode{is.Dev, is.Ino}
		if first, isCopied := c.links[id]; isCopied {
			return c.to.Link(first, p)
		}
		c.links[id] = p
	}
	switch kind {
	case unix.S_IFDIR:
		err = c.copyFolder(ctx, from, to, name, p)
	case unix.S_IFREG:
		c.files++
		err = c.copyContent(ctx, from, to, name)
	case unix.S_IFLNK:
		err = copyLink(from, to, name)
	default: // a device or a pipe
		err = named("mknod", name, unix.Mknodat(to.fd(), name, kind|0o600, int(is.Rdev)))
	}
	if err != nil {
		return err
	}
	c.at = p // a folder is done after all that is below
	return copyAttributes(from, to, name)
}

func (c *copier) copyFolder(ctx context.Context, from, to *folder, name, p string) error {
	if err := to.Mkdir(name, 0o700); err != nil {
		return err
	}
	return below(from, to, name, func(from, to *folder, name string) error { return c.copyOne(ctx, from, to, name, path.Join(p, name)) })
}

func copyLink(from, to *folder, name string) error {
	leads, err := from.Readlink(name)
	if err != nil {
		return err
	}
	return to.Symlink(leads, name)
}

// folder is a folder of a volume. What is in it is looked up by its own name alone,
// however deep it lies.
type folder struct {
	*os.Root
	open *os.File
}

func openFolder(root *os.Root, p string) (*folder, error) {
	below, err := root.OpenRoot(p)
	if err != nil {
		return nil, err
	}
	open, err := below.Open(".")
	if err != nil {
		_ = below.Close()
		return nil, err
	}
	return &folder{Root: below, open: open}, nil
}

func (f *folder) close() {
	_ = f.open.Close()
	_ = f.Close()
}

func (f *folder) fd() int { return int(f.open.Fd()) }

func (f *folder) stat(name string) (is unix.Stat_t, err error) {
	err = unix.Fstatat(f.fd(), name, &is, unix.AT_SYMLINK_NOFOLLOW)
	return is, named("lstat", name, err)
}

// within does something with a path of both volumes, in the folders that it is in.
func within(from, to *os.Root, p string, do func(from, to *folder, name string) error) error {
	return inBoth(from, to, path.Dir(p), func(from, to *folder) error { return do(from, to, path.Base(p)) })
}

// below does something with each name of a folder of both volumes.
func below(from, to *folder, name string, do func(from, to *folder, name string) error) error {
	return inBoth(from.Root, to.Root, name, func(from, to *folder) error {
		entries, err := from.open.ReadDir(-1)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if err := do(from, to, entry.Name()); err != nil {
				return err
			}
		}
		return nil
	})
}

func inBoth(from, to *os.Root, p string, do func(from, to *folder) error) error {
	source, err := openFolder(from, p)
	if err != nil {
		return unreadable(err)
	}
	defer source.close()
	target, err := openFolder(to, p)
	if err != nil {
		return err
	}
	defer target.close()
	return do(source, target)
}

// named is an error of a call that knows no names, with the name.
func named(call, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: call, Path: name, Err: err}
}

// unreadable is an error of the snapshot. One that says more stays as it is.
func unreadable(err error) error {
	var f *failure
	if errors.As(err, &f) {
		return err
	}
	return failed(resticexport.CauseSourceUnreadable, "the snapshot can't be read: %v", err)
}

// failure is why paths could not be copied.
func (c *copier) failure(ctx context.Context, err error) error {
	f, known := failure{cause: resticexport.CauseFailed, message: err.Error()}, &failure{}
	switch {
	case ctx.Err() != nil:
		return failed(resticexport.CauseInterrupted, "the mover was told to end")
	case errors.As(err, &known):
		f = *known
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		f.cause, f.message = resticexport.CauseNoSpace, f.message+": write a larger spec.target.size"
	}
	if c.at != "" {
		f.message = "/" + c.at + ": " + f.message
	}
	return &f
}

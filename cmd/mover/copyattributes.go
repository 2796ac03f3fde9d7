package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// copyAttributes gives what was copied its owner, its extended attributes, among
// them its ACL, its mode and its times, in this order: a new owner takes setuid and
// capabilities away, and whoever owns a file that is read-only may still change it.
func copyAttributes(from, to *folder, name string) error {
	is, err := from.stat(name)
	if err != nil {
		return err
	}
	if err := copyOwner(to, name, &is); err != nil {
		return err
	}
	if err := copyExtended(from, to, name); err != nil {
		return err
	}
	if is.Mode&unix.S_IFMT != unix.S_IFLNK { // a link has no mode
		if err := to.Chmod(name, modeOf(is.Mode)); err != nil {
			return err
		}
	}
	times := []unix.Timespec{is.Atim, is.Mtim}
	return named("utimensat", name, unix.UtimesNanoAt(to.fd(), name, times, unix.AT_SYMLINK_NOFOLLOW))
}

// modeOf is a mode as package os has it.
func modeOf(mode uint32) os.FileMode {
	m := os.FileMode(mode & 0o777)
	for bit, is := range map[uint32]os.FileMode{unix.S_ISUID: os.ModeSetuid, unix.S_ISGID: os.ModeSetgid, unix.S_ISVTX: os.ModeSticky} {
		if mode&bit != 0 {
			m |= is
		}
	}
	return m
}

// copyOwner gives a file its owner. A mover that isn't root can't; but it can give
// it a group that it belongs to.
func copyOwner(to *folder, name string, is *unix.Stat_t) error {
	err := unix.Fchownat(to.fd(), name, int(is.Uid), int(is.Gid), unix.AT_SYMLINK_NOFOLLOW)
	if !isBeyond(err) {
		return named("chown", name, err)
	}
	if err = unix.Fchownat(to.fd(), name, -1, int(is.Gid), unix.AT_SYMLINK_NOFOLLOW); isBeyond(err) {
		return nil
	}
	return named("chown", name, err)
}

// isBeyond is true for what a mover that isn't root may not do.
func isBeyond(err error) bool { return os.Geteuid() != 0 && errors.Is(err, os.ErrPermission) }

// copyExtended copies the extended attributes, as far as the volume can have them
// and the mover may set them. The label of SELinux is that of the volume's mount,
// and what the kernel signs files by is its own.
func copyExtended(from, to *folder, name string) error {
	source, target := from.path(name), to.path(name)
	names, err := extended(func(buffer []byte) (int, error) { return unix.Llistxattr(source, buffer) })
	if err != nil {
		return unreadable(named("listxattr", name, err))
	}
	for attribute := range bytes.SplitSeq(names, []byte{0}) {
		a := string(attribute)
		if a == "" || strings.HasPrefix(a, "security.") && a != "security.capability" {
			continue
		}
		value, err := extended(func(buffer []byte) (int, error) { return unix.Lgetxattr(source, a, buffer) })
		if err != nil {
			return unreadable(named("getxattr "+a, name, err))
		}
		if err := unix.Lsetxattr(target, a, value, 0); err != nil && !errors.Is(err, unix.ENOTSUP) && !isBeyond(err) {
			return named("setxattr "+a, name, err)
		}
	}
	return nil
}

// path is one for calls that take no folder. The kernel leads it to the very folder
// that is open.
func (f *folder) path(name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", f.fd(), name) }

// extended reads what may have grown since its size was asked for. A file system
// without extended attributes has none.
func extended(read func([]byte) (int, error)) ([]byte, error) {
	for {
		size, err := read(nil)
		if errors.Is(err, unix.ENOTSUP) {
			return nil, nil
		}
		if err != nil || size == 0 {
			return nil, err
		}
		buffer := make([]byte, size)
		if size, err = read(buffer); !errors.Is(err, unix.ERANGE) {
			return buffer[:max(0, size)], err
		}
	}
}

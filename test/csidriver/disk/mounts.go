package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
)

// fiThaw is FITHAW of linux/fs.h, which golang.org/x/sys doesn't name.
const fiThaw = 0xc0045878

var mounter = mount.NewWithoutSystemd("")

// MountsOf returns where the device is mounted: its file system, and its node
// where a pod has it raw. The latest mount comes first.
func MountsOf(device string) ([]string, error) {
	info, err := os.Stat(device)
	if err != nil {
		return nil, err
	}
	var stat unix.Stat_t
	if err := unix.Stat(device, &stat); err != nil {
		return nil, &os.PathError{Op: "stat", Path: device, Err: err}
	}
	major, minor := int(unix.Major(stat.Rdev)), int(unix.Minor(stat.Rdev))
	return mountsWhere(func(m mount.MountInfo) bool {
		node := m.FsType == "devtmpfs" || m.FsType == "tmpfs"
		return m.Major == major && m.Minor == minor || node && filepath.Base(m.Root) == info.Name()
	})
}

func mountsWhere(match func(mount.MountInfo) bool) ([]string, error) {
	infos, err := mount.ParseMountInfo("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var points []string
	for _, info := range infos {
		if match(info) {
			points = append(points, info.MountPoint)
		}
	}
	slices.Reverse(points)
	return points, nil
}

// Mounted tells whether something is mounted at the path.
func Mounted(path string) (bool, error) {
	points, err := mountsWhere(func(m mount.MountInfo) bool { return m.MountPoint == path })
	return len(points) > 0, err
}

// Mount mounts the device's file system and makes the path for it.
func Mount(device, path, fsType string, options []string) error {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return err
	}
	return mounter.Mount(device, path, fsType, options)
}

// Bind shows the source, a folder or a device node, at the path as well.
func Bind(source, path string, options []string) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if err := makeMountPoint(path, info.IsDir()); err != nil {
		return err
	}
	return mounter.Mount(source, path, "", append([]string{"bind"}, options...))
}

func makeMountPoint(path string, folder bool) error {
	if folder {
		return os.MkdirAll(path, 0o750)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	return file.Close()
}

// Unmount unmounts the path, if it is mounted.
func Unmount(path string) error {
	mounted, err := Mounted(path)
	if err != nil || !mounted {
		return err
	}
	return mounter.Unmount(path)
}

// UnmountAndRemove unmounts the path and removes the mount point. It removes
// nothing below it: should the unmount have failed, that is somebody's data.
func UnmountAndRemove(path string) error {
	if err := Unmount(path); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Pull unmounts the device everywhere and detaches it. It ends a freeze first,
// as pulling a real disk does: a frozen file system would stay in the kernel,
// and on its device, after its last unmount.
func Pull(device string) error {
	points, err := MountsOf(device)
	if err != nil {
		return err
	}
	for _, point := range points {
		thaw(point)
	}
	if err := unmountAll(points); err != nil {
		return err
	}
	return Detach(device)
}

// thaw does what it can: of the mounts of one file system any will do, and most
// were never frozen, which is an error, too.
func thaw(path string) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer file.Close()
	_ = unix.IoctlSetInt(int(file.Fd()), fiThaw, 0)
}

// unmountAll goes on where it can. What a process still uses leaves the tree
// now, and is gone when that process is.
func unmountAll(points []string) error {
	var errs []error
	for _, point := range points {
		if mounter.Unmount(point) == nil {
			continue
		}
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", point, err))
		}
	}
	return errors.Join(errs...)
}

// below tells whether the path is inside the folder.
func below(path, dir string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

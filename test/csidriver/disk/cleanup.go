package disk

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
)

// Cleanup unmounts everything that came from the data folder, wherever it is
// mounted, and detaches its loop devices. It needs no running driver and no
// readable state, and may be called again. Files stay.
func Cleanup(dataDir string) error {
	dir, err := filepath.EvalSymlinks(dataDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	// Inside out: the volumes' devices keep the pool busy, the pool its own.
	return errors.Join(pullBelow(filepath.Join(dir, "pool")), unmountBelow(dir), pullBelow(dir))
}

func pullBelow(dir string) error {
	devices, err := devicesWhere(func(file string) bool { return below(file, dir) })
	if err != nil {
		return err
	}
	var errs []error
	for _, device := range devices {
		errs = append(errs, pullStacked(device), Pull(device))
	}
	return errors.Join(errs...)
}

// pullStacked frees the device of loop devices on top of it: the kubelet makes
// one for each raw volume of a pod, to hold the volume open.
func pullStacked(device string) error {
	var stat unix.Stat_t
	if err := unix.Stat(device, &stat); err != nil {
		return &os.PathError{Op: "stat", Path: device, Err: err}
	}
	all, err := devicesWhere(func(string) bool { return true })
	if err != nil {
		return err
	}
	var errs []error
	for _, other := range all {
		if backingDevice(other) == stat.Rdev {
			errs = append(errs, Pull(other))
		}
	}
	return errors.Join(errs...)
}

// backingDevice returns the number of the block device below a loop device, or
// 0 where a file is below it.
func backingDevice(device string) uint64 {
	loop, err := os.Open(device)
	if err != nil {
		return 0
	}
	defer loop.Close()
	status, err := unix.IoctlLoopGetStatus64(int(loop.Fd()))
	if err != nil {
		return 0
	}
	return status.Rdevice
}

func unmountBelow(dir string) error {
	points, err := mountsWhere(func(m mount.MountInfo) bool { return below(m.MountPoint, dir) })
	if err != nil {
		return err
	}
	return unmountAll(points)
}

package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// Release unmounts all that is mounted at or below some folders, and detaches
// the loop devices whose files are there. A file system on a loop device may
// hold files of other loop devices, so it goes in rounds: whatever is busy in
// one is free in the next.
func Release(folders ...string) error {
	const rounds = 5
	var busy error
	for range rounds {
		busy = nil
		for _, folder := range folders {
			if err := unmount(folder, 0); errors.Is(err, unix.EBUSY) {
				busy = err
			} else if err != nil {
				return err
			}
			if err := detachLoops(folder); err != nil {
				return err
			}
		}
		if busy == nil {
			return nil
		}
	}
	// Somebody's shell stands in there, say: let go of it all the same.
	for _, folder := range folders {
		if err := errors.Join(unmount(folder, unix.MNT_DETACH), detachLoops(folder)); err != nil {
			return err
		}
	}
	return nil
}

// unmount unmounts what it can at or below a folder, and returns the last error.
func unmount(folder string, flags int) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(folder))
	if err != nil {
		return err
	}
	var failed error
	// The last one first: a mount may lie in, or over, one made before it.
	for _, mount := range slices.Backward(mounts) {
		err := unix.Unmount(mount.Mountpoint, flags|unix.UMOUNT_NOFOLLOW)
		// EINVAL: it is gone, with the mount that it was propagated from.
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			failed = fmt.Errorf("unmount %s: %w", mount.Mountpoint, err)
		}
	}
	return failed
}

// detachLoops detaches the loop devices whose files are below a folder.
func detachLoops(folder string) error {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return err
	}
	for _, file := range files {
		backing, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(backing), folder+"/") {
			continue
		}
		name := filepath.Base(filepath.Dir(filepath.Dir(file)))
		if err := detachLoop("/dev/" + name); err != nil {
			return fmt.Errorf("detach %s: %w", name, err)
		}
	}
	return nil
}

func detachLoop(device string) error {
	file, err := os.Open(device)
	if err != nil {
		return err
	}
	defer file.Close()
	err = unix.IoctlSetInt(int(file.Fd()), unix.LOOP_CLR_FD, 0)
	if errors.Is(err, unix.ENXIO) { // detached meanwhile
		return nil
	}
	return err
}

// CanOverlay says whether containerd's overlayfs snapshotter works in a folder.
func CanOverlay(folder string) bool {
	scratch, err := os.MkdirTemp(folder, "overlay-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(scratch)
	at := func(name string) string { return filepath.Join(scratch, name) }
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(at(name), 0o755); err != nil {
			return false
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", at("lower"), at("upper"), at("work"))
	if err := unix.Mount("overlay", at("merged"), "overlay", 0, options); err != nil {
		return false
	}
	return unix.Unmount(at("merged"), 0) == nil
}

// CanLowerOOMScore says whether we may make a process less likely to be killed
// when memory runs out, for which the kernel asks CAP_SYS_RESOURCE.
func CanLowerOOMScore() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(status), "CapEff:")
	word, _, _ := strings.Cut(after, "\n")
	capabilities, err := strconv.ParseUint(strings.TrimSpace(word), 16, 64)
	return err == nil && capabilities&(1<<unix.CAP_SYS_RESOURCE) != 0
}

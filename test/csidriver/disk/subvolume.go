package disk

import (
	"errors"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The requests and their arguments are those of linux/btrfs.h. The btrfs program
// does the same, but takes longer to start than the kernel to cut.
const (
	snapCreateV2   = 0x50009417 // BTRFS_IOC_SNAP_CREATE_V2
	snapDestroy    = 0x5000940f // BTRFS_IOC_SNAP_DESTROY
	subvolReadOnly = 1 << 1     // BTRFS_SUBVOL_RDONLY
)

// volArgsV2 is struct btrfs_ioctl_vol_args_v2.
type volArgsV2 struct {
	fd      int64
	transid uint64
	flags   uint64
	unused  [4]uint64
	name    [4040]byte
}

// volArgs is struct btrfs_ioctl_vol_args.
type volArgs struct {
	fd   int64
	name [4088]byte
}

// snapshotSubvolume makes target a read-only snapshot of a subvolume.
func snapshotSubvolume(source, target string) error {
	of, err := os.Open(source)
	if err != nil {
		return err
	}
	defer of.Close()
	args := volArgsV2{fd: int64(of.Fd()), flags: subvolReadOnly}
	copy(args.name[:len(args.name)-1], filepath.Base(target))
	return subvolumeIoctl(target, "snapshot", snapCreateV2, unsafe.Pointer(&args))
}

// deleteSubvolume removes a snapshot with all that is in it.
func deleteSubvolume(path string) error {
	args := volArgs{}
	copy(args.name[:len(args.name)-1], filepath.Base(path))
	return subvolumeIoctl(path, "delete", snapDestroy, unsafe.Pointer(&args))
}

// subvolumeIoctl does something to an entry of a folder.
func subvolumeIoctl(path, what string, request uintptr, args unsafe.Pointer) (err error) {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, folder.Fd(), request, uintptr(args)); errno != 0 {
		return &os.PathError{Op: what + " subvolume", Path: path, Err: errno}
	}
	return nil
}

package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// restic takes what is in the volume's root folder, and not that folder itself:
// whose it is, is a tag of the snapshot.
const rootFormat = "%o:%d:%d"

// rootOf is the mode, the owner and the group of a folder.
func rootOf(folder string) (string, error) {
	var is unix.Stat_t
	if err := unix.Stat(folder, &is); err != nil {
		return "", failed(resticexport.CauseSourceUnreadable, "the volume can't be looked at: %v", err)
	}
	return fmt.Sprintf(rootFormat, is.Mode&0o7777, is.Uid, is.Gid), nil
}

// restoreRoot gives the volume's root folder what it had. Only root may: where the
// mover isn't, the folder stays the group's that the kubelet has given it to. A
// snapshot that doesn't say what it had changes nothing.
func restoreRoot(folder, root string) error {
	if root == "" || os.Geteuid() != 0 {
		return nil
	}
	var mode, user, group uint32
	if _, err := fmt.Sscanf(root, rootFormat, &mode, &user, &group); err != nil {
		return failed(resticexport.CauseInvalid, "the snapshot's tag says %q of the volume's root folder, which can't be read: %v", root, err)
	}
	// A new owner takes setuid away, so the mode comes last.
	err := os.Chown(folder, int(user), int(group))
	if err == nil {
		err = os.Chmod(folder, modeOf(mode))
	}
	if err != nil {
		return failed(resticexport.CauseFailed, "the volume's root folder can't be given its owner: %v", err)
	}
	return nil
}

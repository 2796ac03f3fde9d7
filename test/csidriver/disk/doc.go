// Package disk makes virtual disks out of files.
//
// A disk is a sparse image file on a btrfs file system, the pool, which is
// itself a sparse file on a loop device. A disk in use is attached to a loop
// device of its own:
//
//	<data-dir>/pool.img ── loop ── btrfs at <data-dir>/pool
//	    volumes/<id>.img ── loop ── ext4, or raw, in a pod
//	    snapshots/<id>.img
//	    cuts/<id>, the whole pool, for the moment of a cut of several disks
//
// Copies of an image are reflinks. The kernel makes one while it holds the
// image's inode lock and after it wrote back the image's dirty pages, so a copy
// is what the disk held at one instant: everything that a pod had synced, and
// of what only the pod's page cache had, nothing. That is what a snapshot of
// block storage is. Copies of several images at one instant are reflinks out of
// a read-only btrfs snapshot of the pool, see CloneTogether.
//
// All state is in files, and in what the kernel says about loop devices and
// mounts. A process that is killed forgets nothing.
package disk

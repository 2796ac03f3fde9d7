package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Pool is the btrfs file system that holds the images.
type Pool struct {
	// Volumes and Snapshots are the folders of their images and records.
	Volumes, Snapshots string
	// Groups is the folder of the records of snapshots that were cut together.
	Groups string

	root string // where btrfs is mounted
	cuts string // where the whole pool is kept for the moment of a cut
	work string // where copies mount what they need for a while
}

// OpenPool mounts the pool of the data folder, and makes it, with room for that
// many bytes, where there is none.
func OpenPool(dataDir string, size int64) (*Pool, error) {
	dir, err := makeDir(dataDir)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "pool")
	p := &Pool{
		root:      root,
		work:      filepath.Join(dir, "work"),
		Volumes:   filepath.Join(root, "volumes"),
		Snapshots: filepath.Join(root, "snapshots"),
		Groups:    filepath.Join(root, "groups"),
		cuts:      filepath.Join(root, "cuts"),
	}
	if err := p.mount(filepath.Join(dir, "pool.img"), size); err != nil {
		return nil, fmt.Errorf("pool in %s: %w", dir, err)
	}
	return p, p.tidy()
}

// makeDir returns the folder's real path, as the kernel will name it when it is
// asked what a loop device's file is.
func makeDir(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(abs, 0o755); err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

func (p *Pool) mount(image string, size int64) error {
	mounted, err := Mounted(p.root)
	if err != nil || mounted {
		return err
	}
	if err := makePoolImage(image, size); err != nil {
		return err
	}
	device, err := Attach(image)
	if err != nil {
		return err
	}
	return Mount(device, p.root, "btrfs", []string{"noatime"})
}

// makePoolImage gives the image its name last: one that has it is formatted.
func makePoolImage(image string, size int64) error {
	if _, err := os.Stat(image); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	unfinished := image + ".new"
	if err := Create(unfinished, size); err != nil {
		return err
	}
	if err := run("mkfs.btrfs", "-q", "-m", "single", unfinished); err != nil {
		return err
	}
	return os.Rename(unfinished, image)
}

// tidy ends what a killed process left under way: copies, cuts, and images that
// have no record, which nobody was told of.
func (p *Pool) tidy() error {
	for _, dir := range []string{p.Volumes, p.Snapshots, p.Groups, p.cuts} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for _, dir := range []string{p.Volumes, p.Snapshots} {
		if err := removeUnrecorded(dir); err != nil {
			return err
		}
	}
	if err := p.endCuts(); err != nil {
		return err
	}
	if err := p.endCopies(); err != nil {
		return err
	}
	return p.detachUnused()
}

// endCopies removes empty folders only: what is still mounted there is a
// volume that a pod uses.
func (p *Pool) endCopies() error {
	if err := unmountBelow(p.work); err != nil {
		return err
	}
	for _, pattern := range []string{"*/*", "*", ""} {
		paths, err := filepath.Glob(filepath.Join(p.work, pattern))
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// detachUnused detaches devices that are mounted nowhere. A raw volume that is
// staged and not yet published is attached again when it is.
func (p *Pool) detachUnused() error {
	devices, err := devicesWhere(func(file string) bool { return below(file, p.root) })
	if err != nil {
		return err
	}
	for _, device := range devices {
		points, err := MountsOf(device)
		if err != nil {
			return err
		}
		if len(points) > 0 {
			continue
		}
		if err := Detach(device); err != nil {
			return err
		}
	}
	return nil
}

func removeUnrecorded(dir string) error {
	images, err := filepath.Glob(filepath.Join(dir, "*.img"))
	if err != nil {
		return err
	}
	for _, image := range images {
		record := image[:len(image)-len(".img")] + ".json"
		if _, err := os.Stat(record); !errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := discard(image); err != nil {
			return err
		}
	}
	return nil
}

// discard detaches and removes an image.
func discard(image string) error {
	device, err := Device(image)
	if err != nil {
		return err
	}
	if device != "" {
		if err := Pull(device); err != nil {
			return err
		}
	}
	return os.Remove(image)
}

// Free returns how many bytes the pool has room for.
func (p *Pool) Free() (int64, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(p.root, &stat); err != nil {
		return 0, err
	}
	return int64(stat.Bavail) * stat.Bsize, nil
}

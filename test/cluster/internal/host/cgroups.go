package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/lull-dev/lull/test/cluster/internal/process"
)

// cgroupFolders are the folders of a cgroup in all hierarchies of version 1 and
// in the one of version 2.
func cgroupFolders(name string) ([]string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, err
	}
	var folders []string
	for _, mount := range mounts {
		folders = append(folders, filepath.Join(mount.Mountpoint, name))
	}
	return folders, nil
}

// MakeCgroup makes a cgroup at the top of every hierarchy.
func MakeCgroup(name string) error {
	folders, err := cgroupFolders(name)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if err := inheritCPUSet(folder); err != nil {
			return err
		}
	}
	return nil
}

// inheritCPUSet gives a cgroup of version 1 its parent's processors and memory:
// it is made with none, and nothing can run in it.
func inheritCPUSet(folder string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		own, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil || strings.TrimSpace(string(own)) != "" {
			continue
		}
		parents, err := os.ReadFile(filepath.Join(filepath.Dir(folder), file))
		if err != nil {
			continue // version 2
		}
		if err := os.WriteFile(filepath.Join(folder, file), parents, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// EndCgroup kills all processes in a cgroup and below it, and removes it.
func EndCgroup(ctx context.Context, name string) error {
	folders, err := cgroupFolders(name)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if err := killAll(ctx, folder); err != nil {
			return err
		}
		if err := removeCgroups(ctx, folder); err != nil {
			return fmt.Errorf("remove cgroup %s: %w", folder, err)
		}
	}
	return nil
}

func killAll(ctx context.Context, folder string) error {
	return process.Poll(ctx, 20*time.Millisecond, func() (bool, error) {
		pids, err := processesIn(folder)
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return false, err
			}
		}
		return len(pids) == 0, err
	})
}

// processesIn lists the processes in a cgroup and below it.
func processesIn(folder string) ([]int, error) {
	var pids []int
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.Name() != "cgroup.procs" {
			return err
		}
		text, err := os.ReadFile(path)
		// ENODEV: it was removed between opening and reading.
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			return nil
		}
		if err != nil {
			return err
		}
		for field := range strings.FieldsSeq(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids, err
}

// removeCgroups removes a cgroup and those below it. The kernel refuses while
// it still clears away what was in them.
func removeCgroups(ctx context.Context, folder string) error {
	return process.Poll(ctx, 20*time.Millisecond, func() (bool, error) {
		var folders []string
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				folders = append(folders, path)
			}
			return nil
		})
		for i := len(folders) - 1; i >= 0; i-- {
			err := os.Remove(folders[i])
			if errors.Is(err, syscall.EBUSY) {
				return false, nil
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return false, err
			}
		}
		return true, err
	})
}

package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/procfs"
	"k8s.io/apimachinery/pkg/types"
)

// podMemory reads the memory of pods that run on this machine, from their cgroups.
type podMemory struct {
	// hierarchy is where the cgroups are that count memory, of either version.
	hierarchy string
	// folder is the cgroup of the pod that was asked for last.
	folder string
	pod    types.UID
}

func newPodMemory() (*podMemory, error) {
	mounts, err := procfs.GetMounts()
	if err != nil {
		return nil, err
	}
	for _, m := range mounts {
		if countsMemory(m) {
			return &podMemory{hierarchy: m.MountPoint}, nil
		}
	}
	return nil, errors.New("no cgroups are mounted on this machine that count memory")
}

// countsMemory is true of the hierarchy with the controller of memory. Where both
// versions are mounted it may be in either.
func countsMemory(m *procfs.MountInfo) bool {
	switch m.FSType {
	case "cgroup":
		_, is := m.SuperOptions["memory"]
		return is
	case "cgroup2":
		controllers, err := os.ReadFile(filepath.Join(m.MountPoint, "cgroup.controllers"))
		return err == nil && slices.Contains(strings.Fields(string(controllers)), "memory")
	}
	return false
}

// of is the anonymous memory of a pod's largest container, in MiB: what it needs,
// where the cache of what it has read can be had back at any time. Beside the one
// container of a mover there is only the one that holds the network, which has next
// to nothing. 0 where the pod isn't there, or not any more.
func (m *podMemory) of(pod types.UID) (most float64) {
	if m.pod != pod {
		m.pod, m.folder = pod, ""
	}
	if m.folder == "" {
		m.find()
	}
	if m.folder == "" {
		return 0
	}
	containers, _ := filepath.Glob(filepath.Join(m.folder, "*", "memory.stat")) // the pattern is a good one
	for _, file := range containers {
		if text, err := os.ReadFile(file); err == nil {
			most = max(most, float64(anonymous(string(text)))/(1<<20))
		}
	}
	return most
}

// find finds the pod's cgroup, whose name has the pod's UID in it: a kubelet calls it
// pod0a1b-2c3d, and systemd kubepods-pod0a1b_2c3d.slice.
func (m *podMemory) find() {
	uid := string(m.pod)
	names := []string{uid, strings.ReplaceAll(uid, "-", "_")}
	_ = filepath.WalkDir(m.hierarchy, func(path string, entry fs.DirEntry, _ error) error {
		for _, name := range names {
			if entry != nil && entry.IsDir() && strings.Contains(entry.Name(), name) {
				m.folder = path
				return fs.SkipAll
			}
		}
		return nil // one that is gone by now is none of a pod that runs
	})
}

// anonymous is what memory.stat says of anonymous memory, in bytes: anon in version
// 2, total_rss in version 1.
func anonymous(stat string) int64 {
	for line := range strings.Lines(stat) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "anon" || name == "total_rss" {
			bytes, _ := strconv.ParseInt(value, 10, 64) // the kernel writes numbers
			return bytes
		}
	}
	return 0
}

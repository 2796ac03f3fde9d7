// Package cache keeps what takes long to make, under a key of all that it was
// made from, so that a fresh checkout need not make it again.
//
// An entry is a folder or a file that appears whole or not at all: it is made
// under a temporary name and renamed. Two programs that want the same entry at
// once make it once.
package cache

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// keepUnused is how long an entry that nobody asks for is kept.
const keepUnused = 14 * 24 * time.Hour

// A Cache is a folder of entries.
type Cache struct{ dir string }

// Open returns the cache in $LULL_CACHE, or in the user's cache folder.
func Open() (*Cache, error) {
	dir := os.Getenv("LULL_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("no cache folder: %w: set LULL_CACHE to one", err)
		}
		dir = filepath.Join(base, "lull")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("no cache folder: %w: set LULL_CACHE to one that can be written", err)
	}
	return &Cache{dir: dir}, nil
}

// Path is where the entry of a kind, a name and a key is, or would be.
func (c *Cache) Path(kind, name, key string) string {
	return filepath.Join(c.dir, kind, name+"-"+key)
}

// Get returns the path of an entry and, if it isn't there yet, has it made: by
// make, at the temporary path that make is given.
func (c *Cache) Get(kind, name, key string, make func(temporary string) error) (string, error) {
	path := c.Path(kind, name, key)
	if used(path) {
		return path, nil
	}
	unlock, err := c.lock(kind, name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if used(path) {
		return path, nil
	}
	// A name of our own: what somebody who was killed had started may still write
	// to theirs.
	temporary := fmt.Sprintf("%s.%d.part", path, os.Getpid())
	if err := os.RemoveAll(temporary); err != nil {
		return "", err
	}
	if err := make(temporary); err != nil {
		return "", err
	}
	if err := os.Rename(temporary, path); err != nil {
		return "", err
	}
	return path, c.prune(kind, name)
}

// used says whether an entry is there, and notes that somebody wanted it.
func used(path string) bool {
	now := time.Now()
	return os.Chtimes(path, now, now) == nil
}

// lock holds off others who make an entry of the same kind and name.
func (c *Cache) lock(kind, name string) (unlock func(), err error) {
	folder := filepath.Join(c.dir, kind)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	file, err := os.Create(filepath.Join(folder, "."+name+".lock"))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return func() { file.Close() }, nil
}

// prune removes entries of a kind and name that nobody asked for in a long time.
func (c *Cache) prune(kind, name string) error {
	entries, err := os.ReadDir(filepath.Join(c.dir, kind))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		key, ours := strings.CutPrefix(entry.Name(), name+"-")
		info, err := entry.Info()
		if !ours || strings.Contains(key, "-") || err != nil || time.Since(info.ModTime()) < keepUnused {
			continue
		}
		if err := os.RemoveAll(filepath.Join(c.dir, kind, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

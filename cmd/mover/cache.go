package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// A cache is nothing that a task should fail for, and restic fails where it can't read
// or write it (seen with 0.19). So the mover looks at it first, and goes on without one
// where it is full.

// prepareCache has restic work without a cache where that can't be written. What a check
// has left there that was killed goes: restic makes itself a new one for each.
func (r *restic) prepareCache() {
	if r.cache == "" {
		return
	}
	probe, err := os.MkdirTemp(r.cache, "probe-")
	if err != nil {
		r.leaveCache(fmt.Sprintf("the cache can't be written: %v", err))
		return
	}
	_ = os.Remove(probe)
	left, _ := filepath.Glob(filepath.Join(r.cache, "restic-check-cache-*"))
	for _, folder := range left {
		_ = os.RemoveAll(folder)
	}
}

// leaveCache has restic work without a cache from now on.
func (r *restic) leaveCache(why string) {
	fmt.Fprintln(os.Stderr, why+". It goes on without a cache")
	r.cache, r.noCache = "", true
}

// withCache does a task, and does it again without a cache where that was full. The
// next mover finds it empty.
func (m *mover) withCache(ctx context.Context, task resticexport.Task, result *resticexport.Result) error {
	if task.Copy != nil { // without restic
		return m.act(ctx, task, result)
	}
	m.restic.prepareCache()
	err := m.act(ctx, task, result)
	if err == nil || !m.restic.isCacheFull(err) {
		return err
	}
	cache := m.restic.cache
	m.restic.leaveCache("the cache is full: write a larger spec.mover.cache.size")
	empty(cache)
	*result = resticexport.Result{}
	return m.act(ctx, task, result)
}

// isCacheFull tells a full cache from a full volume or repository, by the path that
// restic names, whatever it takes that for.
func (r *restic) isCacheFull(err error) bool {
	return r.tellsFullCache(err.Error())
}

func (r *restic) tellsFullCache(words string) bool {
	return r.cache != "" && strings.Contains(words, syscall.ENOSPC.Error()) && strings.Contains(words, r.cache+"/")
}

var errCacheFull = errors.New("the cache is full")

// endingAtFullCache ends restic once it says that it can't fill its cache: where it
// reads it tries that again for a quarter of an hour, for each file.
func (r *restic) endingAtFullCache(each func([]byte), end context.CancelCauseFunc) func([]byte) {
	return func(line []byte) {
		each(line)
		if r.tellsFullCache(string(line)) {
			end(errCacheFull)
		}
	}
}

// empty removes what is in a folder, as far as it may.
func empty(folder string) {
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		_ = os.RemoveAll(filepath.Join(folder, e.Name()))
	}
}

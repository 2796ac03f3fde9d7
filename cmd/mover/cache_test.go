package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// aRestic is a script in the place of restic, which is run by a shell.
func aRestic(t *testing.T, script string) *restic {
	t.Helper()
	r := &restic{path: filepath.Join(t.TempDir(), "restic"), cache: t.TempDir(), goodbye: time.Minute, patience: time.Minute, say: func(resticexport.Message) {}}
	if err := os.WriteFile(r.path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestATaskGoesOnWithoutACacheThatIsFull(t *testing.T) {
	for name, then := range map[string]string{
		"and restic fails":           "exit 1",
		"and restic tries on and on": "exec tail -f /dev/null",
	} {
		r := aRestic(t, `case "$*" in *--no-cache*) exit 0;; esac
echo "Load(<data/cd>) failed: write $(dirname "$0")/cache/c8e2/index/f3/tmp-1: no space left on device" >&2
`+then)
		r.cache = filepath.Join(filepath.Dir(r.path), "cache")
		cached := filepath.Join(r.cache, "c8e2", "index")
		if err := os.MkdirAll(cached, 0o700); err != nil {
			t.Fatal(err)
		}
		m := &mover{restic: r, now: time.Now}
		if result := m.do(t.Context(), resticexport.Task{Prune: &resticexport.Prune{}}); !result.Done || result.Message != "" {
			t.Errorf("%s: %+v", name, result)
		}
		if _, err := os.Stat(cached); err == nil {
			t.Errorf("%s: the next mover finds the cache as full", name)
		}
	}
}

func TestOnlyAFullCacheIsLeft(t *testing.T) {
	r := aRestic(t, `echo "Fatal: write /lull/repository/data/x: no space left on device" >&2; echo "$@" >>"$0.log"; exit 1`)
	m := &mover{restic: r, now: time.Now}
	if result := m.do(t.Context(), resticexport.Task{Prune: &resticexport.Prune{}}); result.Cause != resticexport.CauseNoSpace {
		t.Errorf("%+v", result)
	}
	if ran, err := os.ReadFile(r.path + ".log"); err != nil || strings.Count(string(ran), "prune") != 1 {
		t.Errorf("%s %v", ran, err)
	}
}

func TestACacheThatCantBeWrittenIsLeft(t *testing.T) {
	r := aRestic(t, `case "$*" in *--no-cache*) exit 0;; esac; exit 1`)
	r.cache = filepath.Join(r.path, "isn't a folder")
	m := &mover{restic: r, now: time.Now}
	if result := m.do(t.Context(), resticexport.Task{Prune: &resticexport.Prune{}}); !result.Done {
		t.Errorf("%+v", result)
	}
}

func TestWhatAKilledCheckHasLeftGoes(t *testing.T) {
	r := &restic{cache: t.TempDir()}
	for _, folder := range []string{"restic-check-cache-123", "c8e2"} {
		if err := os.Mkdir(filepath.Join(r.cache, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r.prepareCache()
	left, err := os.ReadDir(r.cache)
	if err != nil || len(left) != 1 || left[0].Name() != "c8e2" || r.noCache {
		t.Errorf("%v %v", left, err)
	}
}

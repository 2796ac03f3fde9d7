package cache

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestKeyFollowsWhatAnEntryIsMadeFrom(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	goFiles := func(path string) bool { return strings.HasSuffix(path, ".go") }
	key := func(words ...string) string {
		key, err := Key(words, []string{folder}, goFiles)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	write("main.go", "package main", 0o644)
	first := key("go1", "flags")

	for _, test := range []struct {
		name   string
		change func()
		words  []string
		same   bool
	}{
		{"nothing", func() {}, []string{"go1", "flags"}, true},
		{"a file that doesn't count", func() { write("README.md", "hello", 0o644) }, []string{"go1", "flags"}, true},
		{"another word", func() {}, []string{"go2", "flags"}, false},
		{"words cut elsewhere", func() {}, []string{"go1f", "lags"}, false},
		{"another mode", func() { write("main.go", "package main", 0o755) }, []string{"go1", "flags"}, false},
		{"another text", func() { write("main.go", "package other", 0o644) }, []string{"go1", "flags"}, false},
		{"the first text again", func() { write("main.go", "package main", 0o644) }, []string{"go1", "flags"}, true},
		{"another file", func() { write("more.go", "", 0o644) }, []string{"go1", "flags"}, false},
	} {
		test.change()
		if got := key(test.words...); (got == first) != test.same {
			t.Errorf("%s: the key %s, first %s; want same: %v", test.name, got, first, test.same)
		}
	}
}

func TestAnEntryIsMadeOnceAndWhole(t *testing.T) {
	c := &Cache{dir: t.TempDir()}
	made := 0
	failing := func(temporary string) error {
		made++
		if err := os.WriteFile(temporary, []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
		return errors.New("no room")
	}
	if _, err := c.Get("bin", "tool", "k1", failing); err == nil {
		t.Fatal("a failed make gave an entry")
	}
	if _, err := os.Stat(c.Path("bin", "tool", "k1")); err == nil {
		t.Fatal("a failed make left an entry")
	}
	good := func(temporary string) error { made++; return os.WriteFile(temporary, []byte("whole"), 0o644) }
	for range 2 {
		path, err := c.Get("bin", "tool", "k1", good)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := os.ReadFile(path); string(text) != "whole" {
			t.Errorf("the entry holds %q", text)
		}
	}
	if made != 2 {
		t.Errorf("made %d times, want once in vain and once for good", made)
	}
}

func TestPruneRemovesOnlyWhatNobodyAskedFor(t *testing.T) {
	c := &Cache{dir: t.TempDir()}
	touch := func(path string) error { return os.WriteFile(path, nil, 0o644) }
	for _, entry := range [][2]string{{"csi", "old"}, {"csi", "recent"}, {"csi-driver", "old"}} {
		if _, err := c.Get("bin", entry[0], entry[1], touch); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * keepUnused)
	for _, name := range []string{"csi", "csi-driver"} {
		if err := os.Chtimes(c.Path("bin", name, "old"), past, past); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Get("bin", "csi", "new", touch); err != nil {
		t.Fatal(err)
	}
	for entry, want := range map[[2]string]bool{
		{"csi", "old"}: false, {"csi", "recent"}: true, {"csi", "new"}: true, {"csi-driver", "old"}: true,
	} {
		_, err := os.Stat(c.Path("bin", entry[0], entry[1]))
		if (err == nil) != want {
			t.Errorf("%v is there: %v, want %v", entry, err == nil, want)
		}
	}
}

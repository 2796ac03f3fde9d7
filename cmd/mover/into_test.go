package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// all are the paths of the volume that is written to, each with its content.
func (v *volumes) all() (all []string) {
	v.Helper()
	v.must(filepath.WalkDir(v.to, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			content, err := os.ReadFile(path)
			all = append(all, strings.TrimPrefix(path, v.to)+"="+string(content))
			return err
		}
		return err
	}))
	return all
}

func TestPathsAreCopiedIntoAFolderBesideOthersFiles(t *testing.T) {
	for name, into := range map[string]string{"of the root": "/restored", "below others": "/home/me/restored"} {
		t.Run(name, func(t *testing.T) {
			v := twoVolumes(t)
			v.write("etc/app.conf", "old")
			v.must(os.MkdirAll(filepath.Join(v.to, "home"), 0o755), os.WriteFile(filepath.Join(v.to, "home", "app.conf"), []byte("new"), 0o644))
			if result := v.copyInto(into, "/etc/app.conf"); !result.Done || result.Restore.Files != 1 {
				t.Fatalf("%+v", result)
			}
			want := []string{"/home/app.conf=new", into + "/etc/app.conf=old"}
			if slices.Sort(want); !slices.Equal(v.all(), want) {
				t.Errorf("%q, not %q", v.all(), want)
			}
		})
	}
}

func TestAnEmptyFolderIsTakenWithItsMode(t *testing.T) {
	v := twoVolumes(t)
	v.write("mark", "old")
	into := filepath.Join(v.to, "restored")
	v.must(os.Mkdir(into, 0o755), os.Chmod(into, 0o750))
	if result := v.copyInto("/restored", "/mark"); !result.Done {
		t.Fatalf("%+v", result)
	}
	if is, err := os.Stat(into); err != nil || is.Mode().Perm() != 0o750 {
		t.Error(is.Mode(), err)
	}
}

func TestNothingIsWrittenOverOrOutOfTheVolume(t *testing.T) {
	outside := t.TempDir()
	for name, of := range map[string]struct {
		there func(v *volumes) error
		says  string
	}{
		"a folder that isn't empty": {func(v *volumes) error {
			return os.MkdirAll(filepath.Join(v.to, "a", "b", "restored", "other"), 0o755)
		}, "/a/b/restored of the volume isn't empty"},
		"a file in its place": {func(v *volumes) error {
			return os.WriteFile(filepath.Join(v.to, "a"), nil, 0o644)
		}, "/a of the volume isn't a folder"},
		"a link on the way": {func(v *volumes) error { return os.Symlink(outside, filepath.Join(v.to, "a")) }, "/a of the volume isn't a folder"},
		"a link in its place": {func(v *volumes) error {
			v.must(os.MkdirAll(filepath.Join(v.to, "a", "b"), 0o755))
			return os.Symlink("..", filepath.Join(v.to, "a", "b", "restored"))
		}, "/a/b/restored of the volume isn't a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			v := twoVolumes(t)
			v.write("mark", "old")
			v.must(of.there(v))
			result := v.copyInto("/a/b/restored", "/mark")
			if result.Done || result.Cause != resticexport.CauseInvalid || !strings.Contains(result.Message, of.says) {
				t.Errorf("%+v", result)
			}
			if left, err := os.ReadDir(outside); len(left) > 0 || slices.ContainsFunc(v.all(), func(path string) bool { return strings.Contains(path, "mark") }) {
				t.Error(left, err, v.all())
			}
		})
	}
}

// An attempt that ends early leaves nothing; one that is killed leaves what the next
// one clears.
func TestAFolderIsThereAsAWholeOrNotAtAll(t *testing.T) {
	v := twoVolumes(t)
	v.write("mark", "old")
	if result := v.copyInto("/restored", "/mark", "/none"); result.Done || result.Cause != resticexport.CauseNotFound {
		t.Fatalf("%+v", result)
	}
	if left, err := os.ReadDir(v.to); len(left) > 0 || err != nil {
		t.Fatal(left, err)
	}
	killed, err := openPlace(v.to, "/restored")
	v.must(err, os.WriteFile(filepath.Join(killed.path(), "half"), nil, 0o644))
	if result := v.copyInto("/restored", "/mark"); !result.Done {
		t.Fatalf("%+v", result)
	}
	if want := []string{"/restored/mark=old"}; !slices.Equal(v.all(), want) {
		t.Errorf("%q, not %q", v.all(), want)
	}
}

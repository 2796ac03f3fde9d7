//go:build real

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// Names and modes of every kind come back as they are.
func TestTheMoverRestoresWhatItExported(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	for i, name := range []string{"plain", "--delete", "-o", "two\nlines", "a*b?[c]", `back\slash`, "$(reboot)", "`id`", "ünï🦉", "\xff\xfe", "'\"", " ", "**", "!not", "lost+found/orphan"} {
		b.write(filepath.Join("names", name), strings.Repeat(name, i+1))
	}
	b.write("empty", "")
	data := b.mover.data
	for _, err := range []error{
		os.Mkdir(filepath.Join(data, "folder"), 0o750),
		os.Symlink("../names/plain", filepath.Join(data, "folder", "link")),
		os.Symlink("/nowhere", filepath.Join(data, "dangling")),
		os.Link(filepath.Join(data, "names", "plain"), filepath.Join(data, "hard")),
		syscall.Mkfifo(filepath.Join(data, "fifo"), 0o640),
		os.Chmod(filepath.Join(data, "empty"), 0o4711),
		os.Chtimes(filepath.Join(data, "hard"), noon, noon.Add(123456789)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	giveRoot(t, data, 0o2751, 4000000000, 998)
	want := tree(t, data)
	if err := os.Mkdir(filepath.Join(data, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	snapshot := b.backup(aBackup("data", noon))
	if len(snapshot.SnapshotID) != 64 || snapshot.FilesNew == 0 || snapshot.BytesProcessed == 0 || snapshot.BytesUploaded == 0 || snapshot.FilesUnmodified != 0 {
		t.Errorf("%+v", snapshot)
	}
	target := b.onto()
	restored := b.done(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: snapshot.SnapshotID}}).Restore
	if restored.Files == 0 || restored.Bytes == 0 {
		t.Errorf("%+v, of %+v", restored, snapshot)
	}
	compare(t, want, tree(t, target))
	if got, err := rootOf(target); err != nil || os.Getuid() == 0 && got != "2751:4000000000:998" {
		t.Errorf("the root folder has %s, %v", got, err)
	}
}

// giveRoot gives a folder a mode and, where the test may, an owner.
func giveRoot(t *testing.T, folder string, mode uint32, user, group int) {
	t.Helper()
	if os.Getuid() == 0 {
		if err := os.Chown(folder, user, group); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(folder, modeOf(mode)); err != nil {
		t.Fatal(err)
	}
}

func compare(t *testing.T, want, got map[string]string) {
	t.Helper()
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%q is %q, not %q", name, got[name], text)
		}
	}
	for name := range got {
		if _, is := want[name]; !is {
			t.Errorf("%q is more than there was", name)
		}
	}
}

func TestTheMoverRestoresPathsThatMeanThemselves(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	names := []string{"a*", "ab", "a[b]", "?", "x", "**/y", "deep/**", `\*`, "-v"}
	for _, name := range names {
		b.write(name, name)
	}
	snapshot := b.backup(aBackup("data", noon))
	target := b.onto()
	b.write("kept", "kept")
	b.done(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: snapshot.SnapshotID, Paths: []string{"/a*", "/?", "/**", `/\*`}}})
	var got []string
	for name := range tree(t, target) {
		got = append(got, name)
	}
	slices.Sort(got)
	if want := []string{"/**", "/**/y", "/?", `/\*`, "/a*", "/kept"}; !slices.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
	b.done(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: snapshot.SnapshotID, Paths: []string{"/deep/**"}, Into: "/home/re*stored"}})
	if restored := tree(t, filepath.Join(target, "home", "re*stored")); len(restored) != 2 || restored["/deep/**"] == "" {
		t.Errorf("into a folder: %q", restored)
	}
	b.fails(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: snapshot.SnapshotID, Paths: []string{"/x"}, Into: "/home"}}, resticexport.CauseInvalid, "/home of the volume isn't empty")
	b.fails(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: snapshot.SnapshotID, Paths: []string{"/ab", "/c"}}}, resticexport.CauseNotFound, "/c")
	b.fails(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: strings.Repeat("0", 64)}}, resticexport.CauseNotFound)
}

func TestTheMoverDeletesOnlyWhenItIsAskedTo(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	b.write("a", "a")
	want := tree(t, b.mover.data)
	snapshot := b.backup(aBackup("data", noon))
	target := b.onto()
	for _, name := range []string{"more", "lost+found/orphan"} {
		b.write(name, name)
	}
	b.done(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: snapshot.SnapshotID}})
	if got := tree(t, target); got["/more"] == "" {
		t.Errorf("%q", got)
	}
	b.done(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: snapshot.SnapshotID, Delete: true}})
	got := tree(t, target)
	if got["/lost+found/orphan"] == "" {
		t.Error("lost+found is deleted")
	}
	delete(got, "/lost+found")
	delete(got, "/lost+found/orphan")
	compare(t, want, got)
}

func TestTheMoverRestoresWhatWasMadeElsewhere(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	b.write("below/a", "a")
	want := tree(t, filepath.Join(b.mover.data, "below"))
	b.restic("backup", "--host=elsewhere", filepath.Join(b.mover.data, "below"))
	seen := b.done(resticexport.Task{Open: &resticexport.Open{}}).Repository
	var id string
	for _, line := range strings.Fields(b.restic("list", "snapshots")) {
		id = line
	}
	found := b.done(resticexport.Task{Find: &resticexport.Find{SnapshotID: id[:8]}}).Snapshots
	if len(found) != 1 || found[0].SnapshotID != id || found[0].Host != "elsewhere" || !slices.Equal(found[0].Paths, seen.Paths) || found[0].Claim != "" {
		t.Fatalf("%+v", found)
	}
	target := b.onto()
	if found[0].IsFile {
		t.Error("a folder is taken for a file")
	}
	b.done(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: id, Folder: found[0].Paths[0]}})
	compare(t, want, tree(t, target))
}

func TestTheMoverMovesADevice(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	content := bytes.Repeat([]byte("blocks\x00"), 100000)
	b.write(b.mover.device, string(content))
	task := aBackup("disk", noon)
	task.Device = true
	snapshot := b.backup(task)
	if snapshot.BytesProcessed != int64(len(content)) {
		t.Errorf("%+v", snapshot)
	}
	restore := &resticexport.Restore{SnapshotID: snapshot.SnapshotID, Device: true}
	b.write(b.mover.device, string(make([]byte, 2*len(content))))
	if restored := b.done(resticexport.Task{Restore: restore}).Restore; restored.Bytes != int64(len(content)) {
		t.Errorf("%+v", restored)
	}
	if got, err := os.ReadFile(b.mover.device); err != nil || !bytes.Equal(got[:len(content)], content) || len(got) != 2*len(content) {
		t.Errorf("the device holds something else: %v", err)
	}
	b.fails(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: snapshot.SnapshotID}}, resticexport.CauseInvalid, "raw blocks")
	if found := b.done(resticexport.Task{Find: &resticexport.Find{SnapshotID: snapshot.SnapshotID}}).Snapshots; !found[0].Device {
		t.Errorf("%+v", found)
	}
}

// K8up has an application's dump written into restic's standard input.
func TestTheMoverRestoresADumpOfAnotherTool(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	dump := b.mover.restic.command(t.Context(), 0, []string{"backup", "--host=shop", "--stdin", "--stdin-filename=/shop-db.sql"})
	dump.Stdin = strings.NewReader("CREATE TABLE t;\n")
	if output, err := dump.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	all, err := filepath.Glob(filepath.Join(b.repository, "snapshots", "*"))
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	id := filepath.Base(all[0])
	found := b.done(resticexport.Task{Find: &resticexport.Find{SnapshotID: id[:8]}}).Snapshots
	if len(found) != 1 || !found[0].IsFile || found[0].Paths[0] != "/shop-db.sql" {
		t.Fatalf("%+v", found)
	}
	target := b.onto()
	b.done(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: id, Delete: true}})
	if text, err := os.ReadFile(filepath.Join(target, "shop-db.sql")); err != nil || string(text) != "CREATE TABLE t;\n" {
		t.Errorf("%q, %v", text, err)
	}
}

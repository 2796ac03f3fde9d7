//go:build real

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	resticexport "github.com/lull-dev/lull/restic-export"
)

func TestTheMoverMakesARepositoryOnce(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	first := b.done(resticexport.Task{Init: &resticexport.Init{}}).Repository
	if !first.IsNew || first.Keys != 1 || len(first.ID) != 64 || first.Snapshots != 0 {
		t.Fatalf("the first time: %+v", first)
	}
	again := b.done(resticexport.Task{Init: &resticexport.Init{}}).Repository
	if again.IsNew || again.ID != first.ID || again.Keys != 1 {
		t.Fatalf("again: %+v", again)
	}
	if info, err := os.Stat(filepath.Join(b.repository, "config")); err != nil || info.Mode().Perm()&0o040 == 0 {
		t.Errorf("the config isn't readable for the group: %v %v", info.Mode(), err)
	}
	b.write("a", "a")
	b.backup(aBackup("data", noon))
	opened := b.done(resticexport.Task{Open: &resticexport.Open{Measure: true}}).Repository
	if opened.ID != first.ID || opened.Snapshots != 1 || !slices.Equal(opened.Hosts, []string{host}) ||
		!slices.Equal(opened.Paths, []string{b.mover.data}) || !opened.Newest.Equal(noon) || opened.Bytes == 0 {
		t.Errorf("opened: %+v", opened)
	}
}

// A mover that dies between the key and the config leaves what restic refuses.
func TestTheMoverSaysWhatToDoWithHalfARepository(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	if err := os.Remove(filepath.Join(b.repository, "config")); err != nil {
		t.Fatal(err)
	}
	b.fails(resticexport.Task{Init: &resticexport.Init{}}, resticexport.CauseFailed, "remove what is below keys", "bring that back")
}

func TestTheMoverMakesNothingWhereItOnlyOpens(t *testing.T) {
	t.Parallel()
	b := aTestbed(t)
	b.fails(resticexport.Task{Open: &resticexport.Open{}}, resticexport.CauseNoRepository, "Is there a repository")
	b.write("a", "a")
	b.fails(resticexport.Task{Backup: aBackup("data", noon)}, resticexport.CauseNoRepository)
	if _, err := os.Stat(b.repository); err == nil {
		t.Error("something is there now")
	}
}

func TestTheMoverMakesNothingWhereARepositoryCannotBeRead(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	b.write(b.password, "another\n")
	for _, task := range []resticexport.Task{{Init: &resticexport.Init{}}, {Open: &resticexport.Open{}}} {
		b.fails(task, resticexport.CauseWrongPassword, "wrong password")
	}
	b.write(b.password, "secret\n")
	if err := os.Truncate(filepath.Join(b.repository, "config"), 0); err != nil {
		t.Fatal(err)
	}
	b.fails(resticexport.Task{Init: &resticexport.Init{}}, resticexport.CauseDamaged, "zero size")
}

func TestTheMoverReadsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	b.write("a", strings.Repeat("a", 1<<20))
	b.write("b", "b")
	b.backup(&resticexport.Backup{Host: host, Claim: "other", BackupUID: "0", Time: noon.Add(-time.Hour)})
	first := b.backup(aBackup("data", noon))
	if first.FilesNew != 2 {
		t.Errorf("another claim's snapshot was compared with: %+v", first)
	}
	for _, parent := range []string{first.SnapshotID, "", strings.Repeat("0", 64)} {
		task := aBackup("data", noon.Add(time.Hour))
		task.Parent = parent
		again := b.backup(task)
		if again.FilesNew != 0 || again.FilesUnmodified != 2 || again.BytesProcessed != first.BytesProcessed || again.BytesUploaded != 0 {
			t.Errorf("with parent %.8q: %+v", parent, again)
		}
	}
	b.write("b", "changed")
	if changed := b.backup(aBackup("data", noon.Add(2*time.Hour))); changed.FilesChanged != 1 || changed.FilesUnmodified != 1 {
		t.Errorf("changed: %+v", changed)
	}
}

// To list thousands of snapshots takes long, and the parent is named of an export
// whose claim was exported before.
func TestTheMoverLooksForAParentOnlyWhereNoneIsNamed(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	b.write("a", "a")
	first := b.backup(aBackup("data", noon))
	elsewhere := b.backup(&resticexport.Backup{Host: "shop/db", Claim: "data", BackupUID: "2", Time: noon})
	other := b.backup(&resticexport.Backup{Host: host, Claim: "other", BackupUID: "1", Time: noon})
	commands := noted(b)
	for name, c := range map[string]struct {
		parent string
		looks  bool
	}{
		"the last export": {first.SnapshotID, false}, "none": {"", true}, "one that is gone": {strings.Repeat("0", 64), true},
		"that of another claim": {other.SnapshotID, true}, "that of another application": {elsewhere.SnapshotID, true},
	} {
		task := aBackup("data", noon.Add(time.Hour))
		task.Parent = c.parent
		made := b.backup(task)
		if looks := strings.Contains(commands(), "snapshots\n--json\n--no-lock\n--host="); looks != c.looks || made.FilesUnmodified != 1 {
			t.Errorf("%s: it looks for another: %t, %+v", name, looks, made)
		}
	}
}

func TestTheMoverTakesAnEmptyVolumeForAnErrorOnce(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	for _, folder := range []string{"lost+found", "folder/below"} {
		if err := os.MkdirAll(filepath.Join(b.mover.data, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.fails(resticexport.Task{Backup: aBackup("data", noon)}, resticexport.CauseEmpty, "has no file")
	if seen := b.done(resticexport.Task{Open: &resticexport.Open{}}).Repository; seen.Snapshots != 0 {
		t.Errorf("%d snapshots", seen.Snapshots)
	}
	task := aBackup("data", noon)
	task.AllowEmpty = true
	if !b.backup(task).IsEmpty {
		t.Error("it isn't told that it is empty")
	}
	last := b.backup(aBackup("data", noon.Add(time.Hour)))
	target := b.onto()
	b.write("old", "old")
	b.done(resticexport.Task{Restore: &resticexport.Restore{SnapshotID: last.SnapshotID, Delete: true}})
	if got := tree(t, target); len(got) != 2 || got["/folder"] == "" || got["/folder/below"] == "" {
		t.Errorf("restored: %q", got)
	}
	b.onto()
	b.done(resticexport.Task{Backup: aBackup("data", noon.Add(2*time.Hour))})
}

// A snapshot of a part of a volume is worse than none.
func TestTheMoverLeavesNoPartOfAVolume(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	b.write("readable", "a")
	b.write("secret", "b")
	asNobody(b)
	if err := os.Chmod(filepath.Join(b.mover.data, "secret"), 0); err != nil {
		t.Fatal(err)
	}
	result := b.fails(resticexport.Task{Backup: aBackup("data", noon)}, resticexport.CauseSourceUnreadable, "secret: permission denied")
	if seen := b.done(resticexport.Task{Open: &resticexport.Open{}}).Repository; seen.Snapshots != 0 || result.Leftover != "" {
		t.Errorf("%d snapshots remain, %q", seen.Snapshots, result.Leftover)
	}
	end := b.hold()
	defer end()
	result = b.fails(resticexport.Task{Backup: aBackup("data", noon)}, resticexport.CauseSourceUnreadable)
	if len(result.Leftover) != 64 {
		t.Errorf("what remains while another works isn't told: %+v", result)
	}
}

func TestTheMoverTellsOfALock(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	end := b.hold()
	b.fails(resticexport.Task{Check: &resticexport.Check{}}, resticexport.CauseLocked, "already locked")
	if !resticexport.CauseLocked.Again() {
		t.Error("it isn't tried again")
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	locks := b.done(resticexport.Task{Unlock: &resticexport.Unlock{}}).Locks
	if len(locks) != 1 || locks[0].Host != name || locks[0].Exclusive {
		t.Errorf("a lock of who is at work: %+v", locks)
	}
	end()
	if locks := b.done(resticexport.Task{Unlock: &resticexport.Unlock{}}).Locks; len(locks) != 0 {
		t.Errorf("locks of nobody: %+v", locks)
	}
}

// A check that is killed leaves a lock that keeps everybody out.
func TestTheMoverRemovesTheLockOfWhoIsGone(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	b.write("a", "a")
	check := b.mover.restic.command(t.Context(), 0, []string{"check"})
	if err := check.Start(); err != nil {
		t.Fatal(err)
	}
	b.until("the check has its lock", func() bool { return b.locks() == 1 })
	if err := check.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = check.Wait() // it was killed
	if b.locks() != 1 {
		t.Fatal("it has ended before it was killed")
	}
	b.backup(aBackup("data", noon))
	if b.locks() != 0 {
		t.Error("its lock remains")
	}
}

// A device that is a pipe holds a backup up for as long as nobody writes into it.
func TestTheMoverEndsResticWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	if err := syscall.Mkfifo(b.mover.device, 0o600); err != nil {
		t.Fatal(err)
	}
	writer, err := os.OpenFile(b.mover.device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	task := aBackup("data", noon)
	task.Device = true
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	results := make(chan resticexport.Result, 1)
	go func() { results <- b.mover.do(ctx, resticexport.Task{Backup: task}) }()
	b.until("the backup has its lock", func() bool { return b.locks() == 1 })
	cancel()
	if result := <-results; result.Cause != resticexport.CauseInterrupted || !result.Cause.Again() {
		t.Errorf("%+v", result)
	}
	if b.locks() != 0 {
		t.Error("its lock remains")
	}
}

func TestTheMoverCheckFindsAFlippedByte(t *testing.T) {
	t.Parallel()
	b := aRepository(t)
	random := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	b.write("a", string(random))
	b.backup(aBackup("data", noon))
	if check := b.done(resticexport.Task{Check: &resticexport.Check{Part: 1, Of: 1}}).Check; check.Errors != 0 {
		t.Errorf("%+v", check)
	}
	flipAByte(t, largest(t, filepath.Join(b.repository, "data", "*", "*")))
	b.done(resticexport.Task{Check: &resticexport.Check{}})
	check := b.fails(resticexport.Task{Check: &resticexport.Check{Part: 1, Of: 1}}, resticexport.CauseDamaged).Check
	if check == nil || check.Errors == 0 || check.BrokenPackCount == 0 || len(check.BrokenPacks) == 0 {
		t.Errorf("%+v", check)
	}
}

// largest is the largest file that a pattern matches: data, where packs are.
func largest(t *testing.T, pattern string) (path string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.Size() > size {
			path, size = file, info.Size()
		}
	}
	return path
}

func flipAByte(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

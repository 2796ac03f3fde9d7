//go:build real

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// TestMain is the mover where restic runs it as its SSH client.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == resticexport.SSHCommand {
		main()
		return
	}
	code := m.Run()
	made, _ := aMadeRepository()
	_ = os.RemoveAll(made)
	os.Exit(code)
}

const (
	host     = "shop/web"
	password = "secret"
)

var (
	noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	// patient is what a test waits for a lock.
	patient = time.Second
)

// testbed is a repository, and a volume of files, for movers.
type testbed struct {
	t          *testing.T
	mover      *mover
	password   string
	repository string
}

func aTestbed(t *testing.T) *testbed {
	t.Helper()
	path := os.Getenv("RESTIC")
	if path == "" {
		t.Fatal("RESTIC isn't the path of restic: run make test-real")
	}
	b := &testbed{t: t, repository: filepath.Join(t.TempDir(), "repository"), password: filepath.Join(t.TempDir(), "password")}
	b.write(b.password, password+"\n")
	b.mover = &mover{
		data: t.TempDir(), device: filepath.Join(t.TempDir(), "device"), now: time.Now,
		restic: &restic{path: path, goodbye: time.Minute, wait: patient, patience: time.Minute, say: func(resticexport.Message) {}},
	}
	b.mover.restic.folder = b.mover.data
	b.at("local:" + b.repository)
	return b
}

// at moves the testbed to another place.
func (b *testbed) at(repository string, more ...string) {
	b.mover.repository = repository
	b.mover.restic.env = append([]string{
		"TZ=UTC", "HOME=" + b.t.TempDir(), resticexport.EnvCacheDir + "=" + b.t.TempDir(),
		resticexport.EnvPasswordFile + "=" + b.password, resticexport.EnvRepository + "=" + repository,
	}, more...)
}

// aMadeRepository is a folder with a repository that restic made once: each test has
// a copy. Deriving its key takes restic two seconds.
var aMadeRepository = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		return "", err
	}
	restic := exec.Command(os.Getenv("RESTIC"), "--no-cache", "init")
	restic.Env = []string{"RESTIC_PASSWORD=" + password, "RESTIC_REPOSITORY=" + folder, "HOME=" + folder}
	if said, err := restic.CombinedOutput(); err != nil {
		return folder, fmt.Errorf("restic init: %w: %s", err, said)
	}
	return folder, nil
})

// aRepository is a testbed whose repository is made.
func aRepository(t *testing.T) *testbed {
	t.Helper()
	b := aTestbed(t)
	made, err := aMadeRepository()
	if err == nil {
		err = os.CopyFS(b.repository, os.DirFS(made))
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// do has a mover do a task, which it gets as its argument and answers as its
// message.
func (b *testbed) do(task resticexport.Task) resticexport.Result {
	b.t.Helper()
	result := b.mover.parseAndDo(b.t.Context(), task.String())
	read, err := resticexport.ReadResult(string(result.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	return read
}

func (b *testbed) done(task resticexport.Task) resticexport.Result {
	b.t.Helper()
	result := b.do(task)
	if !result.Done {
		b.t.Fatalf("%s isn't done: %s: %s", task, result.Cause, result.Message)
	}
	return result
}

func (b *testbed) fails(task resticexport.Task, cause resticexport.Cause, says ...string) resticexport.Result {
	b.t.Helper()
	result := b.do(task)
	if result.Done || result.Cause != cause {
		b.t.Fatalf("%s: %+v, not %s", task, result, cause)
	}
	for _, words := range says {
		if !strings.Contains(result.Message, words) {
			b.t.Errorf("%s: %q doesn't say %q", task, result.Message, words)
		}
	}
	return result
}

func aBackup(claim string, at time.Time) *resticexport.Backup {
	return &resticexport.Backup{Host: host, Claim: claim, BackupUID: "1", Time: at}
}

func (b *testbed) backup(task *resticexport.Backup) *resticexport.ExportedSnapshot {
	b.t.Helper()
	return b.done(resticexport.Task{Backup: task}).Backup
}

func (b *testbed) write(path, content string) {
	b.t.Helper()
	if !filepath.IsAbs(path) {
		path = filepath.Join(b.mover.data, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// onto gives the movers another volume, which is empty.
func (b *testbed) onto() string {
	b.mover.data = b.t.TempDir()
	b.mover.restic.folder = b.mover.data
	return b.mover.data
}

// restic runs restic beside the movers.
func (b *testbed) restic(args ...string) string {
	b.t.Helper()
	cmd := b.mover.restic.command(b.t.Context(), 0, args)
	output, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", cmd, err, output)
	}
	return string(output)
}

// tree is all that there is to compare of the files below a folder.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	inodes := map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root)
		of := info.Sys().(*syscall.Stat_t)
		text := fmt.Sprintf("%s %d:%d ", info.Mode(), of.Uid, of.Gid) + info.ModTime().UTC().Format(time.RFC3339Nano)
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, _ := os.Readlink(path)
			text += " -> " + to
		case info.Mode().IsRegular():
			content, _ := os.ReadFile(path)
			text += " " + string(content)
			if first, is := inodes[of.Ino]; is {
				text += " as " + first
			} else {
				inodes[of.Ino] = name
			}
		}
		all[name] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// asNobody has restic run as a user that isn't root.
func asNobody(b *testbed) {
	b.t.Helper()
	if os.Getuid() != 0 {
		return
	}
	script := filepath.Join(b.t.TempDir(), "restic")
	b.write(script, "#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups "+b.mover.restic.path+" \"$@\"\n")
	if output, err := exec.Command("chown", "-R", "65534", b.repository).CombinedOutput(); err != nil {
		b.t.Fatalf("%v: %s", err, output)
	}
	cache := b.t.TempDir()
	b.mover.restic.env = append(b.mover.restic.env, resticexport.EnvCacheDir+"="+cache)
	for _, path := range []string{b.repository, b.mover.data, b.password, script, cache} {
		for p := filepath.Dir(path); p != "/" && p != os.TempDir(); p = filepath.Dir(p) {
			if err := os.Chmod(p, 0o755); err != nil {
				b.t.Fatal(err)
			}
		}
		if err := os.Chmod(path, 0o777); err != nil {
			b.t.Fatal(err)
		}
	}
	b.mover.restic.path = script
}

// noted has each command of restic be noted, a word a line. Those since the last time
// are what it answers.
func noted(b *testbed) (commands func() string) {
	b.t.Helper()
	notes, script := filepath.Join(b.t.TempDir(), "notes"), filepath.Join(b.t.TempDir(), "restic")
	b.write(script, "#!/bin/sh\nprintf '%s\\n' \"$@\" >>"+notes+"\nexec "+b.mover.restic.path+" \"$@\"\n")
	if err := os.Chmod(script, 0o755); err != nil {
		b.t.Fatal(err)
	}
	b.mover.restic.path = script
	return func() string {
		text, err := os.ReadFile(notes)
		if err != nil {
			b.t.Fatal(err)
		}
		_ = os.Remove(notes)
		return string(text)
	}
}

// hold has a backup at work in the repository, until it is ended.
func (b *testbed) hold() (end func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	cmd := b.mover.restic.command(ctx, 0, []string{"backup", "--stdin"})
	in, err := cmd.StdinPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.until("a lock is there", func() bool { return b.locks() == 1 })
	return func() {
		_ = in.Close()
		cancel()
		_ = cmd.Wait()
	}
}

// locks is how many there are, without one that restic is about to write.
func (b *testbed) locks() int {
	files, _ := filepath.Glob(filepath.Join(b.repository, "locks", "*"))
	return len(slices.DeleteFunc(files, func(file string) bool { return strings.Contains(file, "-tmp-") }))
}

func (b *testbed) until(what string, is func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(deadline) {
			b.t.Fatalf("never: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

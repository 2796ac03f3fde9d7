package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// volumes are a snapshot's volume and a new one.
type volumes struct {
	*testing.T
	from, to string
}

func twoVolumes(t *testing.T) *volumes {
	t.Helper()
	return &volumes{T: t, from: t.TempDir(), to: t.TempDir()}
}

// must is for what prepares a test.
func (v *volumes) must(errs ...error) {
	v.Helper()
	for _, err := range errs {
		if err != nil {
			v.Fatal(err)
		}
	}
}

func (v *volumes) write(path, content string) string {
	v.Helper()
	path = filepath.Join(v.from, path)
	v.must(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644))
	return path
}

// copy has a mover copy paths.
func (v *volumes) copy(paths ...string) resticexport.Result {
	v.Helper()
	return v.copyInto("", paths...)
}

// copyInto has it copy them into a folder.
func (v *volumes) copyInto(into string, paths ...string) resticexport.Result {
	v.Helper()
	m := &mover{from: v.from, data: v.to, now: time.Now}
	return m.parseAndDo(v.Context(), resticexport.Task{Copy: &resticexport.Copy{Paths: paths, Into: into}}.String())
}

func (v *volumes) copied(paths ...string) *resticexport.RestoredFiles {
	v.Helper()
	result := v.copy(paths...)
	if !result.Done {
		v.Fatalf("%q aren't copied: %s: %s", paths, result.Cause, result.Message)
	}
	return result.Restore
}

func (v *volumes) fails(cause resticexport.Cause, says string, paths ...string) {
	v.Helper()
	if result := v.copy(paths...); result.Done || result.Cause != cause || !strings.Contains(result.Message, says) {
		v.Errorf("%q: %+v, not %s that says %q", paths, result, cause, says)
	}
}

// seen is all that there is to compare of a file.
func (v *volumes) seen(root string) map[string]string {
	v.Helper()
	all, names := map[string]string{}, map[inode]string{}
	v.must(filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		var is unix.Stat_t
		v.must(unix.Lstat(path, &is))
		name := strings.TrimPrefix(path, root)
		text := fmt.Sprintf("%o %d:%d %d.%09d %d", is.Mode, is.Uid, is.Gid, is.Mtim.Sec, is.Mtim.Nsec, is.Rdev)
		switch is.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			leads, err := os.Readlink(path)
			v.must(err)
			text += " -> " + leads
		case unix.S_IFREG:
			content, err := os.ReadFile(path)
			v.must(err)
			text += fmt.Sprintf(" %d %.64q", len(content), bytes.Trim(content, "\x00"))
		}
		if is.Mode&unix.S_IFMT != unix.S_IFDIR {
			if first, is := names[inode{is.Dev, is.Ino}]; is {
				text += " as " + first
			}
			names[inode{is.Dev, is.Ino}] = name
		}
		listed, err := extended(func(buffer []byte) (int, error) { return unix.Llistxattr(path, buffer) })
		v.must(err)
		for _, a := range strings.Split(strings.Trim(string(listed), "\x00"), "\x00") {
			if value, err := extended(func(buffer []byte) (int, error) { return unix.Lgetxattr(path, a, buffer) }); err == nil {
				text += fmt.Sprintf(" %s=%x", a, value)
			}
		}
		all[name] = text
		return nil
	}))
	return all
}

func (v *volumes) differ(want, got map[string]string) {
	v.Helper()
	for name := range want {
		if got[name] != want[name] {
			v.Errorf("%q is\n%s, not\n%s", name, got[name], want[name])
		}
	}
	for name := range got {
		if _, is := want[name]; !is {
			v.Errorf("%q is more than was asked for", name)
		}
	}
}

func asRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it gives files to others, which takes root")
	}
}

// An ACL as the kernel stores it: its version, then tag, permissions and ID of each
// entry. User 999 may read.
var acl = []byte("\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\xe7\x03\x00\x00" +
	"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff")

func TestPathsAreCopiedAsTheyWere(t *testing.T) {
	asRoot(t)
	v := twoVolumes(t)
	for i, name := range []string{"plain", "two\nlines", "--delete", "a*b?[c]", `back\slash`, "\xff\xfe", " ", "ünï🦉", strings.Repeat("x", 255), "..a"} {
		v.must(os.Chtimes(v.write(filepath.Join("all/names", name), strings.Repeat(name, i+1)), time.Now(), time.Unix(int64(i), 123456789)))
	}
	all := filepath.Join(v.from, "all")
	at := func(name string) string { return filepath.Join(all, name) }
	v.write("all/empty", "")
	v.write("all/setuid", "#!")
	v.write("all/acl", "acl")
	v.write("other/aside", "not asked for")
	v.must(
		os.Chown(at("setuid"), 12, 34), os.Chmod(at("setuid"), 0o755|os.ModeSetuid|os.ModeSetgid),
		os.Chmod(at("empty"), 0), os.Chown(at("names/plain"), 999, 998),
		os.MkdirAll(at("deep/below"), 0o700), os.Chown(at("deep"), 5, 6), os.Chmod(at("deep"), 0o770|os.ModeSetgid), os.Chmod(at("deep/below"), 0o777|os.ModeSticky),
		os.Mkdir(at("nothing"), 0o500),
		os.Symlink("../names/plain", at("deep/link")), os.Lchown(at("deep/link"), 7, 8), os.Symlink("/etc/passwd", at("out")), os.Symlink("nowhere", at("dangling")),
		os.Link(at("names/plain"), at("deep/hard")), os.Link(at("dangling"), at("link-of-a-link")), syscall.Mkfifo(at("pipe"), 0o640),
		unix.Setxattr(at("setuid"), "user.note", []byte("a\x00b"), 0), unix.Setxattr(at("deep"), "user.empty", nil, 0),
		unix.Setxattr(at("acl"), "system.posix_acl_access", acl, 0), unix.Setxattr(at("deep"), "system.posix_acl_default", acl, 0),
		os.Chtimes(at("deep"), time.Now(), time.Unix(1, 5)), os.Chtimes(all, time.Now(), time.Unix(2, 6)),
	)
	if err := unix.Mknod(at("device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
		t.Log("no device is copied:", err)
	}
	want := v.seen(v.from)
	delete(want, "/other")
	delete(want, "/other/aside")
	written := v.copied("/all")
	v.differ(want, v.seen(v.to))
	if written.Files != 13 || written.Bytes < 255 {
		t.Errorf("it says that it wrote %+v", written)
	}
	v.copied("/all") // over what an attempt before has left
	v.differ(want, v.seen(v.to))
}

func TestASocketIsNobodysData(t *testing.T) {
	v := twoVolumes(t)
	v.write("run/kept", "kept")
	v.must(unix.Mknod(filepath.Join(v.from, "run/socket"), unix.S_IFSOCK|0o600, 0))
	v.copied("/run")
	if got := v.seen(v.to); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

func TestHolesAndZerosTakeNoRoom(t *testing.T) {
	v := twoVolumes(t)
	path := v.write("sparse", "begin")
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	v.must(err)
	_, err = f.WriteAt([]byte("middle"), 100<<20+5)
	v.must(err)
	_, err = f.WriteAt(make([]byte, 4<<20), 200<<20)
	v.must(err, f.Truncate(1<<30), f.Close())
	zeros := v.write("zeros", string(make([]byte, 10<<20)))
	v.must(os.Truncate(v.write("end", "x"), 5<<20))
	if written := v.copied("/sparse", "/zeros", "/end"); written.Bytes != 1<<30+10<<20+5<<20 {
		t.Errorf("%+v", written)
	}
	for name, most := range map[string]int64{"sparse": 1 << 20, "zeros": 0, "end": 1 << 17} {
		var was, is unix.Stat_t
		v.must(unix.Stat(filepath.Join(v.from, name), &was), unix.Stat(filepath.Join(v.to, name), &is))
		if is.Size != was.Size || is.Blocks*512 > most {
			t.Errorf("%s has %d bytes and takes %d", name, is.Size, is.Blocks*512)
		}
	}
	got := make([]byte, 6)
	f, err = os.Open(filepath.Join(v.to, "sparse"))
	v.must(err)
	if _, err = f.ReadAt(got, 100<<20+5); string(got) != "middle" {
		t.Errorf("%q: %v", got, err)
	}
	v.must(f.Close(), os.Remove(zeros))
}

// Hard links stay where both ends are copied, also by two paths.
func TestPathsMeanThemselvesAndWhatIsBelow(t *testing.T) {
	v := twoVolumes(t)
	for _, name := range []string{"a*", "ab", "a[b]", "etc/app.conf", "etc/app.conf.d/x", "etc/other", "z"} {
		v.write(name, name)
	}
	v.must(os.Link(filepath.Join(v.from, "z"), filepath.Join(v.from, "etc/z")), os.Chmod(filepath.Join(v.from, "etc"), 0o711), os.Chtimes(filepath.Join(v.from, "etc"), time.Now(), time.Unix(9, 0)))
	want := v.seen(v.from)
	for _, name := range []string{"/ab", "/a[b]", "/etc/other"} {
		delete(want, name)
	}
	v.copied("/etc/z", "/a*", "/etc/app.conf", "/z", "/etc/app.conf.d", "/etc/app.conf.d/x")
	got := v.seen(v.to)
	v.differ(want, got)
	if !strings.HasSuffix(got["/z"], " as /etc/z") {
		t.Errorf("the link is another file: %s", got["/z"])
	}
}

func TestAPathThatIsntThereIsNamedBeforeAnythingIsWritten(t *testing.T) {
	v := twoVolumes(t)
	v.write("there", "x")
	v.fails(resticexport.CauseNotFound, "the snapshot has no /none, /there/below", "/there", "/none", "/there/below")
	if got := v.seen(v.to); len(got) > 0 {
		t.Errorf("%q is written", got)
	}
	if resticexport.CauseNotFound.Again() {
		t.Error("it is tried again")
	}
}

func TestNoSymbolicLinkIsFollowed(t *testing.T) {
	v := twoVolumes(t)
	outside := t.TempDir()
	v.must(os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o644))
	v.write("releases/5/app.conf", "five")
	for name, leads := range map[string]string{"current": "releases/5", "out": outside, "up": "../" + filepath.Base(outside)} {
		v.must(os.Symlink(leads, filepath.Join(v.from, name)))
	}
	v.fails(resticexport.CauseNotFound, "/current is a symbolic link to releases/5, which isn't followed: write the path that /current/app.conf leads to", "/current/app.conf")
	v.fails(resticexport.CauseNotFound, "/out is a symbolic link to", "/out/secret")
	v.fails(resticexport.CauseNotFound, "/up is a symbolic link to", "/up/secret")
	v.fails(resticexport.CauseInvalid, "isn't a path from the volume's root", "/../secret")
	v.copied("/current", "/out")
	if leads, err := os.Readlink(filepath.Join(v.to, "out")); err != nil || leads != outside {
		t.Errorf("%s %v", leads, err)
	}

	// What somebody puts on the way in the new volume leads nowhere either.
	v.must(os.Symlink(outside, filepath.Join(v.to, "releases")))
	v.fails(resticexport.CauseFailed, "escapes", "/releases/5/app.conf")
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
		t.Errorf("%v %v", entries, err)
	}
}

func TestAnAttemptBeforeLeavesNothing(t *testing.T) {
	v := twoVolumes(t)
	v.write("conf/app", "right")
	want := v.seen(v.from)
	v.must(os.MkdirAll(filepath.Join(v.to, "conf/app/half"), 0o755), os.WriteFile(filepath.Join(v.to, "conf/more"), nil, 0o600))
	v.copied("/conf")
	v.differ(want, v.seen(v.to))
}

// The mover before was killed: after it made the folder on the way, or when all was
// done but the comparison.
func TestAnAttemptAfterAnotherGivesFoldersTheirModes(t *testing.T) {
	v := twoVolumes(t)
	v.write("etc/app/conf", "right")
	v.must(os.Chmod(filepath.Join(v.from, "etc/app"), 0o555), os.Chmod(filepath.Join(v.from, "etc"), 0o551))
	want := v.seen(v.from)
	v.must(os.Mkdir(filepath.Join(v.to, "etc"), 0o700))
	for range 2 {
		v.copied("/etc/app")
		v.differ(want, v.seen(v.to))
	}
}

func TestWhatWasWrittenIsComparedWithWhatWasRead(t *testing.T) {
	v := twoVolumes(t)
	v.write("conf/app", strings.Repeat("right", 50000))
	v.write("conf/holes", "")
	v.must(os.Truncate(filepath.Join(v.from, "conf/holes"), 1<<20), os.Symlink("app", filepath.Join(v.from, "conf/link")))
	in := func(name string) string { return filepath.Join(v.to, "conf", name) }
	for name, harm := range map[string]func() error{
		"another byte": func() error { return writeAt(in("app"), "R", 200000) },
		"too short":    func() error { return os.Truncate(in("app"), 100) },
		"too long":     func() error { return writeAt(in("app"), "more", 250000) },
		"a hole more":  func() error { return os.Truncate(in("holes"), 2<<20) },
		"in a hole":    func() error { return writeAt(in("holes"), "x", 1<<19) },
		"a hole": func() error {
			return unix.Fallocate(fdOf(t, in("app")), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 65536, 65536)
		},
		"another link": func() error { return replaced(in("link"), func() error { return os.Symlink("none", in("link")) }) },
		"another kind": func() error { return replaced(in("link"), func() error { return os.Mkdir(in("link"), 0o755) }) },
	} {
		v.copied("/conf")
		v.must(harm())
		from, err := os.OpenRoot(v.from)
		v.must(err)
		to, err := os.OpenRoot(v.to)
		v.must(err)
		c := &copier{from: from, to: to}
		err = within(from, to, "conf", func(from, to *folder, name string) error { return c.verify(t.Context(), from, to, name, "conf") })
		if err == nil {
			t.Errorf("%s: nobody sees it", name)
			continue
		}
		var result resticexport.Result
		if tell(&result, c.failure(t.Context(), err)); result.Cause != resticexport.CauseDamaged || !strings.HasPrefix(result.Message, "/conf/") {
			t.Errorf("%s: %+v", name, result)
		}
	}
}

func writeAt(path, text string, at int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = f.WriteAt([]byte(text), at)
	return err
}

func fdOf(t *testing.T, path string) int {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return int(f.Fd())
}

func replaced(path string, by func() error) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return by()
}

func TestWhyPathsAreNotCopied(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want resticexport.Cause
		says string
	}{
		{t.Context(), named("write", "app", syscall.ENOSPC), resticexport.CauseNoSpace, "/etc/app: write app: no space left on device: write a larger spec.target.size"},
		{t.Context(), unreadable(named("open", "app", syscall.EACCES)), resticexport.CauseSourceUnreadable, "/etc/app: the snapshot can't be read: open app: permission denied"},
		{t.Context(), named("mknod", "app", syscall.EPERM), resticexport.CauseFailed, "/etc/app: mknod app: operation not permitted"},
		{ended, context.Canceled, resticexport.CauseInterrupted, "told to end"},
	} {
		var result resticexport.Result
		tell(&result, (&copier{at: "etc/app"}).failure(c.ctx, c.err))
		if result.Cause != c.want || !strings.Contains(result.Message, c.says) {
			t.Errorf("%v: %+v", c.err, result)
		}
	}
	v := twoVolumes(t)
	v.write("a/b", "x")
	result := (&mover{from: v.from, data: v.to, now: time.Now}).do(ended, resticexport.Task{Copy: &resticexport.Copy{Paths: []string{"/a"}}})
	if result.Done || !result.Cause.Again() {
		t.Errorf("%+v", result)
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// copyAsNobody is the variable by which the test runs itself as the mover of a pod
// that isn't root. It holds the arguments.
const copyAsNobody = "LULL_TEST_COPY"

func TestAMoverThatIsntRootCopiesWhatItMay(t *testing.T) {
	if args := os.Getenv(copyAsNobody); args != "" {
		var all []string
		_ = json.Unmarshal([]byte(args), &all)
		os.Exit(move(t.Context(), all))
	}
	asRoot(t)
	v := twoVolumes(t)
	v.write("conf/app", "kept")
	v.write("conf/group", "kept")
	v.write("secret/root", "root's alone")
	in := func(name string) string { return filepath.Join(v.from, name) }
	v.must(
		os.Chown(in("conf/app"), 999, 998), os.Chmod(in("conf/app"), 0o604), os.Chown(in("conf/group"), 999, 997), os.Chmod(in("conf/group"), 0o640), os.Chmod(in("conf"), 0o555),
		os.Chmod(in("secret/root"), 0o600), unix.Setxattr(in("conf/app"), "user.note", []byte("n"), 0), os.Chtimes(in("conf/app"), time.Now(), time.Unix(77, 0)),
		os.Chown(v.to, 0, 65532), os.Chmod(v.to, 0o2775),
	)
	for _, volume := range []string{v.from, v.to} {
		for p := filepath.Dir(volume); p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
			v.must(os.Chmod(p, 0o755))
		}
	}
	if result := v.asNobody("/conf"); !result.Done {
		t.Fatalf("%+v", result)
	}
	want, got := v.seen(v.from), v.seen(v.to)
	as := func(name, was, is string) {
		if text := strings.Replace(want[name], was, is, 1); got[name] != text {
			t.Errorf("%s is\n%s, not\n%s", name, got[name], text)
		}
	}
	as("/conf/app", " 999:998 ", " 65532:65532 ") // the group that the volume is written for
	as("/conf/group", " 999:997 ", " 65532:997 ")
	if result := v.asNobody("/conf"); !result.Done {
		t.Errorf("again, over a folder that it may not write in: %+v", result)
	}
	if result := v.asNobody("/secret"); result.Cause != resticexport.CauseSourceUnreadable || !strings.HasPrefix(result.Message, "/secret/root: ") {
		t.Errorf("%+v", result)
	}
}

// What can't be read is found out before restic makes a snapshot of the rest.
func TestAMoverThatIsntRootExportsNoPart(t *testing.T) {
	if args := os.Getenv(copyAsNobody); args != "" {
		var all []string
		_ = json.Unmarshal([]byte(args), &all)
		os.Exit(move(t.Context(), all))
	}
	asRoot(t)
	v := twoVolumes(t)
	restic, ran := filepath.Join(v.from, "..", "restic"), filepath.Join(v.to, "ran")
	v.must(os.WriteFile(restic, []byte("#!/bin/sh\ncase \"$*\" in *snapshots*) echo '[]';; *) touch "+ran+"; exit 3;; esac\n"), 0o755), os.Chmod(v.to, 0o777))
	for p := filepath.Dir(v.from); p != os.TempDir() && p != "/"; p = filepath.Dir(p) {
		v.must(os.Chmod(p, 0o755))
	}
	v.must(os.Chmod(filepath.Dir(v.to), 0o755))
	task := resticexport.Task{Backup: aBackupOf("data")}
	export := func() (resticexport.Result, bool) {
		result := v.movedByNobody(task, "--data="+v.from, "--restic="+restic)
		_, err := os.Stat(ran)
		return result, err == nil
	}
	v.write("public", "a")
	for i := range keptErrors + 2 {
		v.write(fmt.Sprintf("secret\x1b[2J\n%d", i), "root's alone")
		v.must(os.Chmod(filepath.Join(v.from, fmt.Sprintf("secret\x1b[2J\n%d", i)), 0o600))
	}
	v.must(os.Symlink("/nowhere", filepath.Join(v.from, "link")), os.Mkdir(filepath.Join(v.from, "closed"), 0o700))
	result, hasRun := export()
	if hasRun || result.Cause != resticexport.CauseSourceUnreadable || !strings.Contains(result.Message, "and 3 more") {
		t.Errorf("%t, %+v", hasRun, result)
	}
	for i := range keptErrors + 2 {
		v.must(os.Chown(filepath.Join(v.from, fmt.Sprintf("secret\x1b[2J\n%d", i)), 0, 997), os.Chmod(filepath.Join(v.from, fmt.Sprintf("secret\x1b[2J\n%d", i)), 0o640))
	}
	if result, hasRun := export(); hasRun || result.Message != "user 65532 may not read all of the volume:\n"+filepath.Join(v.from, "closed")+": permission denied" {
		t.Errorf("a folder: %t, %+v", hasRun, result)
	}
	v.must(os.Chmod(filepath.Join(v.from, "closed"), 0o755))
	if result, hasRun := export(); !hasRun {
		t.Errorf("it may read all: %+v", result)
	}
}

func aBackupOf(claim string) *resticexport.Backup {
	return &resticexport.Backup{Host: "shop/web", Claim: claim, BackupUID: "1", Time: time.Unix(77, 0)}
}

// asNobody has a mover copy a path that is user 65532, of group 997 too.
func (v *volumes) asNobody(path string) resticexport.Result {
	v.Helper()
	return v.movedByNobody(resticexport.Task{Copy: &resticexport.Copy{Paths: []string{path}}}, "--data="+v.to, "--from="+v.from)
}

func (v *volumes) movedByNobody(task resticexport.Task, flags ...string) resticexport.Result {
	v.Helper()
	log := filepath.Join(v.to, "..", "log")
	v.must(os.WriteFile(log, nil, 0o666), os.Chmod(log, 0o666))
	args, err := json.Marshal(append(flags, "--termination-log="+log, "--", task.String()))
	v.must(err)
	program := filepath.Join(v.TempDir(), "test") // that of the go command is root's alone
	content, err := os.ReadFile(os.Args[0])
	v.must(err, os.WriteFile(program, content, 0o755), os.Chmod(filepath.Dir(program), 0o755))
	cmd := exec.Command(program, "-test.run=^"+v.Name()+"$")
	cmd.Dir, cmd.Env = "/", append(os.Environ(), copyAsNobody+"="+string(args))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532, Groups: []uint32{997}}}
	said, _ := cmd.CombinedOutput()
	text, err := os.ReadFile(log)
	v.must(err)
	result, err := resticexport.ReadResult(string(text))
	if err != nil {
		v.Fatalf("%v: %s", err, said)
	}
	return result
}

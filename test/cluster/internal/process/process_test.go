package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestParseStatReadsPastAnyName(t *testing.T) {
	const rest = " S 1 7 7 0 -1 4194560 12 0 0 0 1 2 0 0 20 0 1 0 4711 1000 2000"
	for _, test := range []struct {
		name, stat string
		fails      bool
	}{
		{"a plain name", "7 (etcd)" + rest, false},
		{"a name with spaces and parentheses", "7 (a ) Z 1 (b)" + rest, false},
		{"cut off", "7 (etcd) S 1 7", true},
		{"nothing", "", true},
	} {
		state, start, err := parseStat([]byte(test.stat))
		if test.fails {
			if err == nil {
				t.Errorf("%s: no error", test.name)
			}
			continue
		}
		if err != nil || state != 'S' || start != 4711 {
			t.Errorf("%s: %c, %d, %v", test.name, state, start, err)
		}
	}
}

func TestAnotherProcessOfTheSameNumberIsNotAlive(t *testing.T) {
	self, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !self.Alive() {
		t.Error("this process isn't alive")
	}
	another := Identity{PID: self.PID, Start: self.Start + 1}
	if another.Alive() || (Identity{}).Alive() {
		t.Error("a process that never was is alive")
	}
}

func TestMarkedProcessesAreFoundAndEnded(t *testing.T) {
	const marker = "LULL_TEST_MARKER=one"
	cmd := exec.Command("sleep", "60")
	cmd.Env = append(os.Environ(), marker)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }() // or it would stay as a zombie
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var found []Identity
	// Until it has executed its program, it has our environment and not its own.
	err := Poll(ctx, time.Millisecond, func() (bool, error) {
		var err error
		found, err = Marked(marker)
		return len(found) > 0, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].PID != cmd.Process.Pid {
		t.Fatalf("found %v, want process %d", found, cmd.Process.Pid)
	}
	if others, err := Marked(marker + "x"); err != nil || len(others) > 0 {
		t.Errorf("found %v with another marker, %v", others, err)
	}
	if err := found[0].End(ctx); err != nil || found[0].Alive() {
		t.Errorf("it doesn't end: %v", err)
	}
}

func TestStateSurvivesItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etcd.json")
	if none, err := ReadState(path); err != nil || none.Running() {
		t.Errorf("no file: %v, %v", none, err)
	}
	state := State{Program: Identity{PID: 7, Start: 11}, Command: []string{"/bin/etcd", "--name=a b"}, Restarts: 3}
	if err := state.Write(path); err != nil {
		t.Fatal(err)
	}
	read, err := ReadState(path)
	if err != nil || read.Program != state.Program || !slices.Equal(read.Command, state.Command) || read.Restarts != 3 {
		t.Errorf("read %v, %v", read, err)
	}
}

func TestPollEndsWithItsReason(t *testing.T) {
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	err := Poll(ctx, time.Hour, func() (bool, error) { return false, nil })
	if !errors.Is(err, reason) {
		t.Errorf("ended with %v", err)
	}
}

// Package process starts, finds and ends the processes of the cluster.
//
// A component runs under a supervisor, a small program that starts it again
// when it ends, as a kubelet or an init system would. The supervisor keeps a
// state file with the identities of both. It imports nothing but the standard
// library, since a dozen supervisors run.
package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// grace is how long a process gets to end before it is killed. A supervisor
// takes less to end its program.
const grace = 5 * time.Second

// An Identity is one process for all time: its number may be given to another
// process later, but not with the same start.
type Identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since boot
}

// Identify returns the identity of the process that has a number now.
func Identify(pid int) (Identity, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Identity{}, err
	}
	state, start, err := parseStat(stat)
	if err != nil {
		return Identity{}, fmt.Errorf("process %d: %w", pid, err)
	}
	if state == 'Z' {
		return Identity{}, os.ErrProcessDone
	}
	return Identity{PID: pid, Start: start}, nil
}

// parseStat reads the state and the start time, fields 3 and 22 of proc(5)'s
// stat. Field 2 is the program's name in parentheses and may hold anything.
func parseStat(stat []byte) (state byte, start uint64, err error) {
	end := bytes.LastIndexByte(stat, ')')
	fields := bytes.Fields(stat[end+1:])
	if end < 0 || len(fields) < 20 {
		return 0, 0, fmt.Errorf("can't read %q", stat)
	}
	start, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return fields[0][0], start, err
}

// Alive says whether the process still runs. A zombie doesn't.
func (i Identity) Alive() bool {
	now, err := Identify(i.PID)
	return err == nil && i.PID > 0 && now == i
}

// Signal sends a signal, unless the process is gone.
func (i Identity) Signal(signal syscall.Signal) error {
	if !i.Alive() {
		return nil
	}
	if err := syscall.Kill(i.PID, signal); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("signal process %d: %w", i.PID, err)
	}
	return nil
}

// End asks the process to end, kills it if it doesn't in good time, and waits
// until it is gone.
func (i Identity) End(ctx context.Context) error {
	if err := i.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	gone := func() (bool, error) { return !i.Alive(), nil }
	gentle, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if Poll(gentle, 5*time.Millisecond, gone) == nil {
		return nil
	}
	if err := i.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	return Poll(ctx, 5*time.Millisecond, gone)
}

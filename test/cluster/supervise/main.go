// Command supervise runs a program, and runs it again whenever it ends, until
// it is asked to end itself:
//
//	supervise STATE-FILE VERSION PROGRAM [ARGUMENT…]
//
// It tells in the state file what runs. What it writes and what its program
// writes goes to its own output.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/lull-dev/lull/test/cluster/internal/process"
)

const (
	// grace is how long the program gets to end when we are asked to. The API
	// server and etcd would take far longer, to let go of their clients gently.
	grace = 3 * time.Second
	// A program that ends within the settling time is started again only after
	// a pause, which doubles each time.
	settling     = 10 * time.Second
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: supervise STATE-FILE VERSION PROGRAM [ARGUMENT…]")
		os.Exit(2)
	}
	// The program is to end when we are killed. The kernel takes the thread that
	// started it for its parent, so that thread must live as long as we do.
	runtime.LockOSThread()
	if err := supervise(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "supervise:", err)
		os.Exit(1)
	}
}

func supervise(stateFile, version string, command []string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	self, err := process.Identify(os.Getpid())
	if err != nil {
		return err
	}
	state := process.State{Supervisor: self, Command: command, Version: version}
	for pause := firstPause; ; {
		ended, err := start(&state, stateFile)
		if err != nil {
			return err
		}
		select {
		case <-stop:
			return end(state.Program, ended)
		case state.LastEnd = <-ended:
		}
		fmt.Printf("supervise: %s: %s\n", command[0], state.LastEnd)
		if time.Since(state.Started) > settling {
			pause = firstPause
		}
		select {
		case <-stop:
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
		state.Restarts++
	}
}

// start starts the program and returns a channel that tells how it ended.
func start(state *process.State, stateFile string) (<-chan string, error) {
	cmd := exec.Command(state.Command[0], state.Command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	program, err := process.Identify(cmd.Process.Pid)
	if err != nil {
		// It has ended already, which Wait is about to tell.
		program = process.Identity{PID: cmd.Process.Pid}
	}
	ended := make(chan string, 1)
	go func() {
		_ = cmd.Wait() // the process state tells all that the error does
		ended <- cmd.ProcessState.String()
	}()
	state.Program, state.Started = program, time.Now()
	return ended, state.Write(stateFile)
}

// end asks the program to end, and kills it if it takes too long.
func end(program process.Identity, ended <-chan string) error {
	if err := program.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-time.After(grace):
	}
	fmt.Printf("supervise: it didn't end within %s, killing it\n", grace)
	return program.Signal(syscall.SIGKILL)
}

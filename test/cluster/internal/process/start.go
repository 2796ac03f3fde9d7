package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A Spec is how to run a component.
type Spec struct {
	Name       string
	Supervisor string   // the program that supervises it
	Command    []string // program and arguments
	Version    string   // differs when it must be started again
	Marker     string   // in its environment, NAME=value
	Folder     string   // for the state file
	Log        string   // file for its output
}

// Start starts a component under a supervisor, which outlives us, and waits
// until the supervisor has taken it up.
func Start(ctx context.Context, spec Spec) error {
	path := StateFile(spec.Folder, spec.Name)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(spec.Supervisor, append([]string{path, spec.Version}, spec.Command...)...)
	// Nothing else of the caller's environment: a proxy that is set there, say,
	// would come between the components. They collect their garbage less often
	// than Go's programs do by default: a quarter of the API server's work was
	// that, and memory is the lesser need.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/root", "GOGC=300", spec.Marker}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", spec.Name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the process state tells all that the error does
		close(ended)
	}()
	return Poll(ctx, 5*time.Millisecond, func() (bool, error) {
		select {
		case <-ended:
			return false, fmt.Errorf("start %s: its supervisor ended: %s", spec.Name, cmd.ProcessState)
		default:
		}
		state, err := ReadState(path)
		return state.Program.PID != 0, err
	})
}

// Stop ends a component and its supervisor. The state file stays, and tells what
// it was that ran.
func Stop(ctx context.Context, folder, name string) error {
	path := StateFile(folder, name)
	state, err := ReadState(path)
	if err != nil {
		return err
	}
	if err := state.Supervisor.End(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	// Where the supervisor was killed, its program may not have ended with it.
	if state, err = ReadState(path); err != nil {
		return err
	}
	if err := state.Program.End(ctx); err != nil {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

// Poll asks again and again until done, a failure, or the context's end.
func Poll(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

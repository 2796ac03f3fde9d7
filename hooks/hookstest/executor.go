package hookstest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"

	clientexec "k8s.io/client-go/util/exec"

	"github.com/lull-dev/lull/hooks"
)

// Executor runs every command on this machine, each in a session of its own
// as a container runtime does. The end of the context ends a command's streams
// and leaves the command running, as a runtime does too. The environment names
// the pod in POD.
type Executor struct {
	// NoShell answers as a runtime does for a container without /bin/sh.
	NoShell bool
	// Refuse is returned for pods that it holds, before anything runs.
	Refuse map[string]error

	mu   sync.Mutex
	runs []Run
}

// Run is a command that was run.
type Run struct {
	Container hooks.Container
	Command   []string
}

// Runs are the commands that were run so far.
func (e *Executor) Runs() []Run {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.runs)
}

// Exec runs the command.
func (e *Executor) Exec(ctx context.Context, c hooks.Container, command []string, s hooks.Streams) error {
	e.mu.Lock()
	e.runs = append(e.runs, Run{c, command})
	refused := e.Refuse[c.Pod]
	e.mu.Unlock()
	if refused != nil {
		return refused
	}
	if e.NoShell && command[0] == "/bin/sh" {
		return fmt.Errorf(`OCI runtime exec failed: exec: "/bin/sh": stat /bin/sh: no such file or directory`)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "POD="+c.Pod)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stdout, cmd.Stderr = s.Out, s.Err
	var closeInput func()
	if s.In != nil {
		in, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		closeInput = func() { in.Close() }
		go func() {
			defer in.Close()
			buffer := make([]byte, 1024)
			for {
				n, err := s.In.Read(buffer)
				if n > 0 {
					if _, err := in.Write(buffer[:n]); err != nil {
						return
					}
				}
				if err != nil {
					return
				}
			}
		}()
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return clientexec.CodeExitError{Err: err, Code: exit.ExitCode()}
		}
		return err
	case <-ctx.Done():
		if closeInput != nil {
			closeInput()
		}
		return ctx.Err()
	}
}

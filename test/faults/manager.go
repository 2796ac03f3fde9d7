package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lull-dev/lull/test/faults/points"
)

// moment is a failpoint that a manager has reached, and when.
type moment struct {
	what string
	by   []string
	when string
	// written tells apart what the same functions write, empty for commands.
	written string
}

func (m moment) String() string { return m.when + " " + m.what + " " + strings.Join(m.by, "<") }

// spot is a moment to wait for: a failpoint of the list, when, and what is
// written there, empty for anything.
type spot struct {
	points.Point
	when, written string
}

func (s spot) String() string { return s.when + " " + s.what() }

// what tells what is done, whenever.
func (s spot) what() string {
	if s.written == "" {
		return s.Point.String()
	}
	return s.Point.String() + " of " + s.written
}

func (s spot) is(m moment) bool {
	return s.when == m.when && (s.written == "" || s.written == m.written) && s.Covers(m.what, m.by)
}

// trap is sprung once, at the nth moment that it waits for. The manager stands
// still at that moment, and nothing else, until do returns.
type trap struct {
	wants func(moment) bool
	nth   int
	// do says which error the manager is to meet there, empty for none.
	do func(*manager, moment) (answer string)

	mu     sync.Mutex
	seen   int
	sprung chan struct{}
}

func newTrap(wants func(moment) bool, nth int, do func(*manager, moment) string) *trap {
	return &trap{wants: wants, nth: nth, do: do, sprung: make(chan struct{})}
}

// meet springs the trap where its moment has come.
func (t *trap) meet(m *manager, at moment) (answer string) {
	if t == nil || !t.wants(at) {
		return ""
	}
	t.mu.Lock()
	t.seen++
	now := t.seen == t.nth
	t.mu.Unlock()
	if !now {
		return ""
	}
	close(t.sprung)
	return t.do(m, at)
}

// manager is a manager of the build with failpoints, a process of its own.
type manager struct {
	cmd     *exec.Cmd
	log     string
	socket  net.Listener
	started time.Time
	done    chan struct{} // it has ended

	mu     sync.Mutex
	trap   *trap
	passed []moment
	ended  time.Time
}

// managerFlags are limits that let rounds end soon. Two snapshots at once make
// a backup wait for another's.
var managerFlags = []string{
	"--metrics-bind-address=0", "--health-probe-bind-address=0",
	"--not-found-timeout=3s", "--prepare-timeout=90s", "--ready-timeout=20s", "--max-snapshots-in-flight=2", "--claim-timeout=45s",
	"--min-freeze-interval=1s", "--snapshots-per-second=0",
}

// startManager starts one that looks into a namespace, on a machine whose clock is
// ahead.
func (s *suite) startManager(namespace string, set *trap, ahead time.Duration) (*manager, error) {
	s.mu.Lock()
	s.managers++
	name := fmt.Sprintf("manager-%d", s.managers)
	s.mu.Unlock()
	m := &manager{log: filepath.Join(s.dir, name+".log"), trap: set, done: make(chan struct{})}
	path := filepath.Join(s.dir, name+".sock")
	var err error
	if m.socket, err = net.Listen("unix", path); err != nil {
		return nil, err
	}
	log, err := os.Create(m.log)
	if err != nil {
		return nil, err
	}
	m.cmd = exec.Command(s.managerBinary, append(managerFlags, "--image="+s.image)...)
	m.cmd.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig, "LULL_FAILPOINTS="+path, "LULL_FAILPOINTS_NAMESPACE="+namespace, "LULL_FAILPOINTS_CLOCK="+ahead.String())
	m.cmd.Stdout, m.cmd.Stderr = log, log
	// It doesn't outlive this program, and isn't told of an interrupt.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	m.started = time.Now()
	if err := m.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close(), m.socket.Close())
	}
	go m.listen()
	go func() {
		_ = m.cmd.Wait() // how it ended is in its log
		m.mu.Lock()
		m.ended = time.Now()
		m.mu.Unlock()
		close(m.done)
		m.socket.Close()
		log.Close()
	}()
	return m, nil
}

// listen answers the manager's failpoints.
func (m *manager) listen() {
	for {
		conn, err := m.socket.Accept()
		if err != nil {
			return
		}
		go m.answer(conn)
	}
}

func (m *manager) answer(conn net.Conn) {
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
	if err != nil || len(fields) != 4 {
		return // it was killed while it wrote
	}
	at := moment{what: fields[0], by: strings.Split(fields[1], "<"), when: fields[2], written: fields[3]}
	m.mu.Lock()
	m.passed = append(m.passed, at)
	set := m.trap
	m.mu.Unlock()
	if answer := set.meet(m, at); answer != "" {
		_, _ = io.WriteString(conn, answer) // a manager that is dead needs none
	}
}

// lay lays a trap, instead of the one there was; nil lays none.
func (m *manager) lay(set *trap) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trap = set
}

// moments are those that it has passed since the last call.
func (m *manager) moments() []moment {
	m.mu.Lock()
	defer m.mu.Unlock()
	passed := m.passed
	m.passed = nil
	return passed
}

func (m *manager) dead() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// signal sends it a signal; one to a manager that has ended is lost.
func (m *manager) signal(s syscall.Signal) {
	if err := m.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		fmt.Fprintln(os.Stderr, "faults:", err)
	}
}

// kill ends it at once, wherever it is.
func (m *manager) kill() {
	m.signal(syscall.SIGKILL)
	<-m.done
}

// stop tells it to stop and waits until it has; one that doesn't is killed.
func (m *manager) stop(ctx context.Context) error {
	m.lay(nil)
	m.signal(syscall.SIGTERM)
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		m.kill()
		return fmt.Errorf("the manager did not stop: %w", ctx.Err())
	}
}

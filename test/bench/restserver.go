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
	"regexp"
	"slices"
	"sync/atomic"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// restServer is a rest-server that runs as a process of this machine. Whoever
// reaches it may write.
type restServer struct {
	url string
	// folder holds the repositories, each in a folder of its name.
	folder string
	cmd    *exec.Cmd
	told   atomic.Bool   // to end
	done   chan struct{} // it has ended
	// last is the last line that it said.
	last atomic.Pointer[string]
}

var listensAt = regexp.MustCompile(`start server on (\S+)`)

// startRESTServer starts one at an address, at a port that is free. ended is called
// where it ends by itself.
func startRESTServer(program, address string, ended func()) (_ *restServer, err error) {
	if program == "" {
		return nil, errors.New("-rest-server names no rest-server: run make bench ONLY=export")
	}
	s := &restServer{done: make(chan struct{})}
	if s.folder, err = os.MkdirTemp("", "lull-bench-repositories-"); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(program, "--listen="+net.JoinHostPort(address, "0"), "--path="+s.folder, "--no-auth")
	// It doesn't outlive this program, and isn't told of an interrupt.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	said, to := io.Pipe()
	s.cmd.Stdout, s.cmd.Stderr = to, to
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.folder))
	}
	listens := make(chan string, 1)
	go func() {
		_ = s.cmd.Wait() // how it ended is in its state
		to.Close()
	}()
	go func() {
		s.listen(said, listens)
		close(s.done)
		if !s.told.Load() {
			ended()
		}
	}()
	select {
	case at := <-listens:
		s.url = "http://" + at
		return s, nil
	case <-s.done:
		return nil, errors.Join(s.whyEnded(), os.RemoveAll(s.folder))
	}
}

// listen reads what it says until it has ended, and tells where it listens.
func (s *restServer) listen(said io.Reader, listens chan<- string) {
	for lines := bufio.NewScanner(said); lines.Scan(); {
		text := lines.Text()
		s.last.Store(&text)
		if at := listensAt.FindStringSubmatch(text); at != nil {
			listens <- at[1]
		}
	}
	_, _ = io.Copy(io.Discard, said) // what was no line, so that it isn't held up
}

// whyEnded is an error where it has ended though nobody told it to.
func (s *restServer) whyEnded() error {
	select {
	case <-s.done:
	default:
		return nil
	}
	last := ""
	if text := s.last.Load(); text != nil {
		last = *text
	}
	return fmt.Errorf("the rest-server ended by itself, %s: %s", s.cmd.ProcessState, last)
}

// remove removes a repository.
func (s *restServer) remove(name string) error { return os.RemoveAll(filepath.Join(s.folder, name)) }

// stop ends it and removes all repositories.
func (s *restServer) stop() error {
	s.told.Store(true)
	_ = s.cmd.Process.Kill() // one that has ended is as dead
	<-s.done
	return os.RemoveAll(s.folder)
}

// ownAddress is the address of this machine by which it is a node of the cluster:
// pods reach the server by it.
func (b *bench) ownAddress(ctx context.Context) (string, error) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	var nodes corev1.NodeList
	if err := b.List(ctx, &nodes); err != nil {
		return "", err
	}
	for _, node := range nodes.Items {
		for _, a := range node.Status.Addresses {
			isOwn := func(o net.Addr) bool {
				network, is := o.(*net.IPNet)
				return is && network.IP.Equal(net.ParseIP(a.Address))
			}
			if a.Type == corev1.NodeInternalIP && slices.ContainsFunc(own, isOwn) {
				return a.Address, nil
			}
		}
	}
	return "", errors.New("this machine is no node of the cluster: exports are measured on the only node, which has the repository server, and where the memory of pods is read")
}

package framework

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync/atomic"
	"syscall"

	corev1 "k8s.io/api/core/v1"
)

// HostRESTServer is a rest-server that runs as a process of this machine: what it keeps
// outlives the cluster.
type HostRESTServer struct {
	// URL of the server, without a login. A repository is at a path of one name.
	URL string
	// folder holds the repositories, each in a folder of its name.
	folder string
	cmd    *exec.Cmd
	told   atomic.Bool   // to end
	done   chan struct{} // it has ended
	// last is the last line that it said.
	last atomic.Pointer[string]
}

var listensAt = regexp.MustCompile(`start server on (\S+)`)

// StartHostRESTServer starts the program at an address, at a port that is free. Without
// a login whoever reaches it may write. ended is called where it ends by itself.
func StartHostRESTServer(program, address string, login *url.Userinfo, ended func()) (_ *HostRESTServer, err error) {
	s := &HostRESTServer{done: make(chan struct{})}
	if s.folder, err = os.MkdirTemp("", "lull-test-repositories-"); err != nil {
		return nil, err
	}
	access, err := s.access(login)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.folder))
	}
	s.cmd = exec.Command(program, "--listen="+net.JoinHostPort(address, "0"), "--path="+s.folder, access)
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
		s.URL = "http://" + at
		return s, nil
	case <-s.done:
		return nil, errors.Join(s.WhyEnded(), os.RemoveAll(s.folder))
	}
}

// access is the flag that says who may use it.
func (s *HostRESTServer) access(login *url.Userinfo) (string, error) {
	if login == nil {
		return "--no-auth", nil
	}
	password, _ := login.Password()
	sum := sha1.Sum([]byte(password)) // as the server wants it
	file := filepath.Join(s.folder, ".htpasswd")
	line := fmt.Sprintf("%s:{SHA}%s\n", login.Username(), base64.StdEncoding.EncodeToString(sum[:]))
	return "--htpasswd-file=" + file, os.WriteFile(file, []byte(line), 0o600)
}

// listen reads what it says until it has ended, and tells where it listens.
func (s *HostRESTServer) listen(said io.Reader, listens chan<- string) {
	for lines := bufio.NewScanner(said); lines.Scan(); {
		text := lines.Text()
		s.last.Store(&text)
		if at := listensAt.FindStringSubmatch(text); at != nil {
			listens <- at[1]
		}
	}
	_, _ = io.Copy(io.Discard, said) // what was no line, so that it isn't held up
}

// WhyEnded is an error where it has ended though nobody told it to.
func (s *HostRESTServer) WhyEnded() error {
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

// Remove removes a repository.
func (s *HostRESTServer) Remove(name string) error {
	return os.RemoveAll(filepath.Join(s.folder, name))
}

// Stop ends it and removes all repositories.
func (s *HostRESTServer) Stop() error {
	s.told.Store(true)
	_ = s.cmd.Process.Kill() // one that has ended is as dead
	<-s.done
	return os.RemoveAll(s.folder)
}

// OwnAddress is the address of this machine by which it is a node of the cluster:
// pods reach the server by it.
func (c *Cluster) OwnAddress(ctx context.Context) (string, error) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		return "", err
	}
	var nodes corev1.NodeList
	if err := c.List(ctx, &nodes); err != nil {
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
	return "", errors.New("this machine is no node of the cluster, and the repository server runs on the only node: run it there")
}

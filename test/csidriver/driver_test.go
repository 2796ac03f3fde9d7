package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	. "github.com/onsi/gomega"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

// testDriver is a running driver with a data folder of its own.
type testDriver struct {
	csi.IdentityClient
	csi.ControllerClient
	csi.GroupControllerClient
	csi.NodeClient

	t    *testing.T
	dir  string
	args []string
	log  bytes.Buffer
	cmd  *exec.Cmd
}

// aDriver starts the command. At the test's end it is killed, whatever is
// mounted then is cleaned up, and nothing must be left.
func aDriver(t *testing.T, args ...string) *testDriver {
	t.Helper()
	RegisterTestingT(t)
	dir, err := os.MkdirTemp("", "csidriver") // sockets have short paths: no t.TempDir
	Expect(err).NotTo(HaveOccurred())
	d := &testDriver{t: t, dir: dir, args: args}
	t.Cleanup(d.end)
	soon := grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1, MaxDelay: 20 * time.Millisecond}}
	conn, err := grpc.NewClient("unix://"+d.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(soon), grpc.WithDefaultCallOptions(grpc.WaitForReady(true)))
	Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = conn.Close() })
	d.IdentityClient, d.ControllerClient, d.NodeClient = csi.NewIdentityClient(conn), csi.NewControllerClient(conn), csi.NewNodeClient(conn)
	d.GroupControllerClient = csi.NewGroupControllerClient(conn)
	d.start()
	return d
}

func (d *testDriver) socket() string { return filepath.Join(d.dir, "csi.sock") }
func (d *testDriver) image(volID string) string {
	return filepath.Join(d.dir, "pool/volumes", volID+".img")
}

// command returns the driver's command with the data folder of the test.
func (d *testDriver) command(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], append(args, "--data-dir", d.dir)...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	return cmd
}

// run runs a subcommand to its end and returns what it printed.
func (d *testDriver) run(args ...string) string {
	d.t.Helper()
	out, err := d.command(args...).CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return string(out)
}

func (d *testDriver) start() {
	d.t.Helper()
	d.cmd = d.command(append([]string{"--endpoint", "unix://" + d.socket()}, d.args...)...)
	d.cmd.Stderr = &d.log
	Expect(d.cmd.Start()).To(Succeed())
	Eventually(func() error {
		ctx, cancel := context.WithTimeout(d.t.Context(), time.Second)
		defer cancel()
		_, err := d.Probe(ctx, &csi.ProbeRequest{})
		return err
	}).WithTimeout(20 * time.Second).Should(Succeed())
}

func (d *testDriver) kill() {
	Expect(d.cmd.Process.Signal(syscall.SIGKILL)).To(Succeed())
	_ = d.cmd.Wait() // says that it was killed
}

func (d *testDriver) end() {
	d.kill()
	d.run("cleanup")
	Expect(traces(d.dir)).To(BeEmpty())
	Expect(os.RemoveAll(d.dir)).To(Succeed())
	if d.t.Failed() {
		d.t.Log(d.log.String())
	}
}

// traces returns the mounts and loop devices that name the folder.
func traces(dir string) []string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	Expect(err).NotTo(HaveOccurred())
	text := string(mounts)
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	Expect(err).NotTo(HaveOccurred())
	for _, file := range files {
		backing, _ := os.ReadFile(file) // detached since
		text += string(backing)
	}
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, dir) {
			found = append(found, line)
		}
	}
	return found
}

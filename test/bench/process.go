package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/lull-dev/lull/test/framework"
)

const (
	// podName is what the manager takes for the name of its pod: one that is
	// killed and started again has its lease at once, as a container has.
	podName = "lull-manager-bench"
	// A manager is at rest that used less of a processor than restUse in a
	// restWindow. It renews its lease all the time.
	restWindow = 5 * time.Second
	restUse    = 100 * time.Millisecond
	// stopLimit is how long it may take to stop.
	stopLimit = time.Minute
	logLines  = 20
)

// process is a manager that runs as a process of its own: the program of the
// image, with the arguments and the environment of deploy/manager.
type process struct {
	cmd     *exec.Cmd
	log     string
	started time.Time
	told    atomic.Bool   // to end
	done    chan struct{} // it has ended
}

// startManager starts one. ended is called where it ends by itself.
func (c *controlPlane) startManager(program string, ended func(error)) (*process, error) {
	container, err := shippedContainer()
	if err != nil {
		return nil, err
	}
	environment, err := environmentOf(container)
	if err != nil {
		return nil, err
	}
	p := &process{log: filepath.Join(c.folder, "manager.log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(program, slices.Concat(container.Args, []string{
		"--image=" + container.Image, paceFlag + "0", "--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0",
	})...)
	p.cmd.Env = slices.Concat(environment, []string{"KUBECONFIG=" + c.kubeconfig})
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// It doesn't outlive this program, and isn't told of an interrupt.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its state
		close(p.done)
		log.Close()
		if !p.told.Load() {
			ended(fmt.Errorf("the manager ended by itself, %s: %s", p.cmd.ProcessState, p.lastWords()))
		}
	}()
	return p, nil
}

// shippedContainer is the manager's container in deploy/manager.
func shippedContainer() (*corev1.Container, error) {
	file := filepath.Join(deployFolder, "manager", "manager.yaml")
	objects, err := framework.ReadObjects(file)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.GetKind() != "Deployment" {
			continue
		}
		var d appsv1.Deployment
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &d); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return &d.Spec.Template.Spec.Containers[0], nil
	}
	return nil, fmt.Errorf("%s has no Deployment", file)
}

func environmentOf(c *corev1.Container) (all []string, err error) {
	fields := map[string]string{"metadata.name": podName, "metadata.namespace": framework.ManagerNamespace}
	for _, e := range c.Env {
		value := e.Value
		if from := e.ValueFrom; from != nil {
			if from.FieldRef == nil || fields[from.FieldRef.FieldPath] == "" {
				return nil, fmt.Errorf("the variable %s of the manager's container is from where the benchmark has nothing: add it to environmentOf", e.Name)
			}
			value = fields[from.FieldRef.FieldPath]
		}
		all = append(all, e.Name+"="+value)
	}
	return all, nil
}

func (p *process) lastWords() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-logLines):], "\n")
}

// kill ends it at once, wherever it is.
func (p *process) kill() {
	p.told.Store(true)
	_ = p.cmd.Process.Kill() // one that has ended is as dead
	<-p.done
}

// stop tells it to stop and waits until it has; one that doesn't is killed.
func (p *process) stop() error {
	p.told.Store(true)
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that has ended needs none
	select {
	case <-p.done:
		return nil
	case <-time.After(stopLimit):
		p.kill()
		return fmt.Errorf("the manager did not stop within %s", stopLimit)
	}
}

// memory is what it has resident, and the most that it ever had, in MiB.
func (p *process) memory() (resident, peak float64, err error) {
	proc, err := procfs.NewProc(p.cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	status, err := proc.NewStatus()
	return float64(status.VmRSS) / (1 << 20), float64(status.VmHWM) / (1 << 20), err
}

// used is the time of a processor that it has used.
func (p *process) used() (time.Duration, error) {
	proc, err := procfs.NewProc(p.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	stat, err := proc.Stat()
	return time.Duration(stat.CPUTime() * float64(time.Second)), err
}

// awaitRest waits until it does next to nothing: its caches are filled, and
// nothing is left to be worked on.
func (p *process) awaitRest(ctx context.Context) error {
	before, err := p.used()
	if err != nil {
		return err
	}
	look := time.NewTicker(restWindow)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		now, err := p.used()
		if err != nil || now-before < restUse {
			return err
		}
		before = now
	}
}

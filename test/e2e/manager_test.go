package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
)

// theManager is the pod of the manager that works, as soon as it is ready: the spec
// before this one may have ended another.
func theManager(ctx context.Context) (pod *corev1.Pod) {
	GinkgoHelper()
	Eventually(ctx, func() (err error) { pod, err = cluster.Manager(ctx); return err }).Should(Succeed())
	return pod
}

// aFreshManager has one at work that was never killed before: the kubelet would
// wait ever longer until it starts such a one again.
func aFreshManager(ctx context.Context) {
	GinkgoHelper()
	for pod := theManager(ctx); pod.Status.ContainerStatuses[0].RestartCount > 0; pod = theManager(ctx) {
		Expect(cluster.Delete(ctx, pod)).To(Succeed())
		Eventually(ctx, func() (*corev1.Pod, error) { return cluster.Manager(ctx) }).ShouldNot(HaveField("UID", pod.UID))
	}
}

// killManager ends the manager's process as the kernel would for want of
// memory: it is not told.
func killManager(ctx context.Context) {
	GinkgoHelper()
	killContainer(theManager(ctx))
}

// haltManager has the manager stand still, as one on a node that is lost: nobody is
// told, and its connections stay. What is returned lets it go on.
func haltManager(ctx context.Context) (goOn func()) {
	GinkgoHelper()
	pod := theManager(ctx)
	signal(pod, syscall.SIGSTOP)
	goOn = sync.OnceFunc(func() { signal(pod, syscall.SIGCONT) })
	DeferCleanup(goOn)
	return goOn
}

// killContainer ends the only container of a pod in the same way.
func killContainer(pod *corev1.Pod) {
	GinkgoHelper()
	signal(pod, syscall.SIGKILL)
}

// signal sends a signal to the first process of the only container of a pod.
func signal(pod *corev1.Pod, s syscall.Signal) {
	GinkgoHelper()
	pid, err := processOf(pod.Status.ContainerStatuses[0].ContainerID)
	Expect(err).NotTo(HaveOccurred())
	Expect(syscall.Kill(pid, s)).To(Succeed())
}

// firstInside is how the kernel tells that a process is the first in a namespace
// of processes within the node's own.
var firstInside = regexp.MustCompile(`(?m)^NSpid:\t\d+\t1$`)

// processOf finds the first process of a container by its control group.
func processOf(containerID string) (int, error) {
	_, id, _ := strings.Cut(containerID, "://")
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil || id == "" {
		return 0, errors.Join(err, fmt.Errorf("container %q", containerID))
	}
	for _, group := range groups {
		process := filepath.Dir(group)
		if text, err := os.ReadFile(group); err != nil || !bytes.Contains(text, []byte(id)) {
			continue
		}
		if status, err := os.ReadFile(filepath.Join(process, "status")); err == nil && firstInside.Match(status) {
			return strconv.Atoi(filepath.Base(process))
		}
	}
	return 0, fmt.Errorf("container %s has no process here: this spec has to run on the node, as root", id)
}

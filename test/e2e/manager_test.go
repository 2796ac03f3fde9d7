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
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
)

// theManager is the pod of the manager, as soon as it is ready: the spec before
// this one may have ended another.
func theManager(ctx context.Context) (pod *corev1.Pod) {
	GinkgoHelper()
	Eventually(ctx, func() (err error) { pod, err = cluster.Manager(ctx); return err }).Should(Succeed())
	return pod
}

// aFreshManager replaces a manager that was killed before: the kubelet would
// wait ever longer until it starts it again.
func aFreshManager(ctx context.Context) {
	GinkgoHelper()
	old := theManager(ctx)
	if old.Status.ContainerStatuses[0].RestartCount == 0 {
		return
	}
	Expect(cluster.Delete(ctx, old)).To(Succeed())
	Eventually(ctx, func() (*corev1.Pod, error) { return cluster.Manager(ctx) }).ShouldNot(HaveField("UID", old.UID))
}

// killManager ends the manager's process as the kernel would for want of
// memory: it is not told.
func killManager(ctx context.Context) {
	GinkgoHelper()
	killContainer(theManager(ctx))
}

// killContainer ends the only container of a pod in the same way.
func killContainer(pod *corev1.Pod) {
	GinkgoHelper()
	pid, err := processOf(pod.Status.ContainerStatuses[0].ContainerID)
	Expect(err).NotTo(HaveOccurred())
	Expect(syscall.Kill(pid, syscall.SIGKILL)).To(Succeed())
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

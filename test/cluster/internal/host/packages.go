// Package host looks after the machine that the cluster runs on: what must be
// there before, and that all is as before when the cluster is gone.
package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/lull-dev/lull/test/cluster/internal/report"
)

// needed are the programs and files that the cluster uses, and the Debian
// packages that hold them.
var needed = []struct{ file, pack string }{
	{"containerd", "containerd"},
	{"ctr", "containerd"},
	{"runc", "runc"},
	{CNIPlugins + "/bridge", "containernetworking-plugins"},
	{CNIPlugins + "/host-local", "containernetworking-plugins"},
	{"iptables", "iptables"},
	{"iptables-restore", "iptables"},
	{"mount", "mount"},
	{"mkfs.ext4", "e2fsprogs"},
	{"mkfs.btrfs", "btrfs-progs"},
	{"mmdebstrap", "mmdebstrap"},
}

// CNIPlugins is the folder with the plug-ins that connect pods.
const CNIPlugins = "/usr/lib/cni"

// Check says what the machine lacks that nothing here can mend.
func Check() error {
	if runtime.GOOS != "linux" {
		return errors.New("the cluster runs on Linux only: point KUBECONFIG at a cluster of your own, with a CSI driver that can snapshot")
	}
	if os.Geteuid() != 0 {
		return errors.New("the cluster makes mounts, loop devices and network interfaces, so it must run as root: use sudo, or point KUBECONFIG at a cluster of your own")
	}
	if _, err := exec.LookPath("go"); err != nil {
		return errors.New("the go command isn't in PATH: install Go 1.26 or newer; with sudo, keep PATH: sudo env PATH=$PATH …")
	}
	return nil
}

// InstallPackages installs the Debian packages that are missing.
func InstallPackages(ctx context.Context, say *report.Reporter) error {
	missing := missingPackages()
	if len(missing) == 0 {
		return nil
	}
	names := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing: %s (names of Debian packages), and there is no apt-get to install them: install what holds them", names)
	}
	return say.Step("installing "+names, nil, func() error {
		if err := apt(ctx, "update"); err != nil {
			return err
		}
		return apt(ctx, append([]string{"install", "-y", "--no-install-recommends"}, missing...)...)
	})
}

func missingPackages() []string {
	var missing []string
	for _, need := range needed {
		if _, err := exec.LookPath(need.file); err != nil && !slices.Contains(missing, need.pack) {
			missing = append(missing, need.pack)
		}
	}
	return missing
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, tail(string(output), 15))
	}
	return nil
}

// tail returns the last lines of a text.
func tail(text string, count int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

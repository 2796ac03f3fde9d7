package network

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/lull-dev/lull/test/cluster/internal/layout"
)

// A chain of ours, and the built-in one that it is called from.
type chain struct {
	name, from string
	rules      []string
}

// chains keep what pods and node say to each other on this machine. The filter
// table sees addresses after translation, so that also what is addressed to a
// service with an endpoint elsewhere is held.
var chains = []chain{
	{"LULL-INPUT", "INPUT", []string{
		"-i lo -j RETURN",
		"-i " + layout.Bridge + " -d " + layout.PodRange + " -j RETURN",
		"-i " + layout.Bridge + " -j REJECT",
		"-d " + layout.PodRange + " -j REJECT",
	}},
	{"LULL-FORWARD", "FORWARD", []string{
		"-i " + layout.Bridge + " -o " + layout.Bridge + " -d " + layout.PodRange + " -j ACCEPT",
		"-i " + layout.Bridge + " -j REJECT",
		"-o " + layout.Bridge + " -j REJECT",
		"-d " + layout.PodRange + " -j REJECT",
		"-d " + layout.Services + " -j REJECT",
	}},
	{"LULL-OUTPUT", "OUTPUT", []string{
		"-o lo -j RETURN",
		"-d " + layout.Services + " -j REJECT",
		"-o " + layout.Bridge + " -j RETURN",
		"-d " + layout.PodRange + " -j REJECT",
	}},
}

// ApplyRules puts our rules in front of all others. kube-proxy puts its own in
// front when it first starts, so this is called again after that.
func ApplyRules(ctx context.Context) error {
	var script strings.Builder
	script.WriteString("*filter\n")
	for _, c := range chains {
		fmt.Fprintf(&script, ":%s - [0:0]\n", c.name) // made, or emptied
		for _, rule := range c.rules {
			fmt.Fprintf(&script, "-A %s %s\n", c.name, rule)
		}
	}
	script.WriteString("COMMIT\n")
	if err := restore(ctx, "iptables", script.String()); err != nil {
		return err
	}
	for _, c := range chains {
		if err := jumpFirst(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// jumpFirst has a built-in chain call ours before all else.
func jumpFirst(ctx context.Context, c chain) error {
	first, err := run(ctx, "iptables", "-w", "-S", c.from, "1")
	if err == nil && strings.Contains(first, "-j "+c.name) {
		return nil
	}
	for {
		if _, err := run(ctx, "iptables", "-w", "-D", c.from, "-j", c.name); err != nil {
			break // it isn't there
		}
	}
	_, err = run(ctx, "iptables", "-w", "-I", c.from, "-j", c.name)
	return err
}

// RemoveRules removes our rules, Kubernetes' and those of the pods' network.
func RemoveRules(ctx context.Context) error {
	for _, program := range []string{"iptables", "ip6tables"} {
		saved, err := run(ctx, program+"-save")
		if err != nil {
			return err
		}
		if script := removal(saved); script != "" {
			if err := restore(ctx, program, script); err != nil {
				return err
			}
		}
	}
	return nil
}

// ForeignRules says whether another Kubernetes has its rules on this machine.
func ForeignRules(ctx context.Context) (bool, error) {
	saved, err := run(ctx, "iptables-save")
	return strings.Contains(saved, ":KUBE-SERVICES "), err
}

func restore(ctx context.Context, program, script string) error {
	cmd := exec.CommandContext(ctx, program+"-restore", "-w", "--noflush")
	cmd.Stdin = strings.NewReader(script)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s-restore: %w: %s\n%s", program, err, bytes.TrimSpace(output), script)
	}
	return nil
}

func run(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(complaint.Bytes()))
	}
	return string(output), nil
}

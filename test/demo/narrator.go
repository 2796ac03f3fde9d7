package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/term"
)

// step is a part of the scenario. It returns what there is to say of it.
type step struct {
	name string
	do   func(ctx context.Context) (string, error)
}

// narrator prints a line a step. On a terminal the line of a step changes while
// the step goes on; elsewhere each change is a line of its own.
type narrator struct {
	out      io.Writer
	terminal bool
	began    time.Time
	line     string
}

func newNarrator(out *os.File) *narrator {
	return &narrator{out: out, terminal: term.IsTerminal(int(out.Fd()))}
}

func (n *narrator) step(ctx context.Context, number int, s step) error {
	n.began, n.line = time.Now(), fmt.Sprintf("%2d  %-16s", number, s.name)
	if n.terminal {
		n.meanwhile("…")
	}
	said, err := s.do(ctx)
	if err != nil {
		said = "FAILED"
	}
	n.replace(said)
	fmt.Fprintln(n.out)
	return err
}

// meanwhile says what is going on in the step.
func (n *narrator) meanwhile(format string, args ...any) {
	n.replace(fmt.Sprintf(format, args...))
	if !n.terminal {
		fmt.Fprintln(n.out)
	}
}

func (n *narrator) replace(said string) {
	const toLineStart, clearToEnd = "\r", "\x1b[K"
	if n.terminal {
		fmt.Fprint(n.out, toLineStart, clearToEnd)
	}
	fmt.Fprintf(n.out, "%s %5.1fs  %s", n.line, time.Since(n.began).Seconds(), said)
}

// ownCluster is the kubeconfig of the cluster that make cluster-up starts.
const ownCluster = "/var/lib/lull-cluster/kubeconfig"

// epilogue says what to try next.
func (n *narrator) epilogue(d *demo) {
	kubeconfig := os.Getenv("KUBECONFIG")
	fmt.Fprintf(n.out, "\nLook around:\n\n  export KUBECONFIG=%s\n", kubeconfig)
	if _, err := exec.LookPath("kubectl"); err != nil && kubeconfig == ownCluster {
		fmt.Fprintln(n.out, `  export PATH="$PATH:$(go run -C test/cluster . binaries kubectl)"`)
	}
	fmt.Fprintf(n.out, `  kubectl -n %[1]s get vb,vr,rr -o wide
  kubectl -n %[1]s describe vr first-back
  kubectl -n %[1]s describe vr from-offsite
  kubectl -n %[1]s get volumesnapshots,pvc,pods

Take another backup:

  echo '{apiVersion: lull.dev/v1alpha1, kind: VolumeBackup, metadata: {generateName: %[2]s-}, spec: {applicationRef: {name: %[2]s}}}' |
    kubectl -n %[1]s create -f -
  kubectl -n %[1]s get vb -w

Clean up:

  kubectl delete namespace %[1]s
`, namespace, d.db.Name)
	if kubeconfig == ownCluster {
		fmt.Fprintln(n.out, "  make cluster-down        # all of the cluster")
	}
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/exec"

	"github.com/lull-dev/lull/test/framework"
)

// servesScript waits some seconds until the server answers. It fails where the server
// has ended, and with stillStarts where it hasn't.
const servesScript = `for _ in $(seq 25); do
  if ( %s ) >/dev/null 2>&1; then exit; fi
  if [ -e /tmp/ended ]; then exit 1; fi
  sleep 0.2
done
exit 2`

const stillStarts = 2

// stopScript stops the server and checks its files.
const stopScript = `( %s ) || exit 1
until [ -e /tmp/ended ]; do sleep 0.1; done
if [ "$(cat /tmp/ended)" != 0 ]; then echo "the server ended with $(cat /tmp/ended)"; exit 1; fi
%s`

// examine waits until the copy serves or has ended, reads all of it and stops it.
// What is wrong with it comes back as faults, an error is of the test.
func (e engine) examine(ctx context.Context, c *framework.Cluster, pod *corev1.Pod, due span) (faults []string, err error) {
	note := func(more []string, failed error) { faults, err = append(faults, more...), errors.Join(err, failed) }
	failed := e.awaitServing(ctx, c, pod)
	note(ofCopy("the server doesn't start", failed))
	note(copiedFiles(ctx, c, pod))
	if failed == nil {
		note(e.contents(ctx, c, pod, due))
		said, failed := c.Sh(ctx, pod, fmt.Sprintf(stopScript, e.stop, cmp.Or(e.filesAfter, ":")))
		note(ofCopy("it doesn't stop whole: "+said, failed))
	}
	note(e.complaints(ctx, c, pod))
	return faults, err
}

// awaitServing waits until the server answers. It fails where the server has ended, and
// where it has told of damage and still doesn't answer: MariaDB 11.8 may go on for ever
// with pages that it can't recover.
func (e engine) awaitServing(ctx context.Context, c *framework.Cluster, pod *corev1.Pod) error {
	for {
		_, err := c.Sh(ctx, pod, fmt.Sprintf(servesScript, e.serves))
		ended := exec.ExitError(nil)
		if !errors.As(err, &ended) || ended.ExitStatus() != stillStarts {
			return err
		}
		damage, failed := e.complaints(ctx, c, pod)
		if failed != nil {
			return failed
		}
		if len(damage) > 0 {
			return err
		}
	}
}

// copiedFiles are what is wrong with the files by themselves, as they were copied.
func copiedFiles(ctx context.Context, c *framework.Cluster, pod *corev1.Pod) ([]string, error) {
	said, err := c.Sh(ctx, pod, "tail -n 4 /tmp/before; exit $(cat /tmp/before-ended)")
	return ofCopy("its files: "+said, err)
}

// contents reads and checks what the copy has.
func (e engine) contents(ctx context.Context, c *framework.Cluster, pod *corev1.Pod, due span) ([]string, error) {
	ledger, err := e.in(c, pod).ReadLedger(ctx)
	if err != nil {
		return ofCopy("the ledger can't be read", err)
	}
	faults := ledgerFaults(ledger, due)
	if e.check == nil {
		return faults, nil
	}
	more, err := e.check(ctx, c, pod)
	return append(faults, more...), err
}

// complaints are the lines of damage in the server's log.
func (e engine) complaints(ctx context.Context, c *framework.Cluster, pod *corev1.Pod) (lines []string, err error) {
	log, err := c.LogOf(ctx, pod)
	for line := range strings.Lines(log) {
		if e.damage(line) {
			lines = append(lines, "its log: "+strings.TrimSpace(line))
		}
	}
	return lines, err
}

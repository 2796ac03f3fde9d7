package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// results is where tiers write their JUnit reports: unit.xml, unit-cluster.xml
// and so on.
const results = "bin/results"

// run runs one tier. A tier that reports nothing has failed.
func run(tier string, out *output) outcome {
	o := outcome{tier: tier}
	began := time.Now()
	said := &lines{of: tier, out: out}
	cmd := exec.Command("make", "test-"+tier)
	cmd.Stdout, cmd.Stderr = said, said
	o.err = cmd.Run()
	said.end()
	o.took = time.Since(began)
	reports, err := filepath.Glob(filepath.Join(results, tier+"*.xml"))
	if err == nil && len(reports) == 0 {
		err = errors.New("no test reported anything")
	}
	o.err = errors.Join(o.err, err)
	for _, report := range reports {
		o.err = errors.Join(o.err, o.readReport(report))
	}
	return o
}

// output is what all tiers print to, a whole line at a time.
type output struct {
	mu sync.Mutex
	to io.Writer
}

// lines is one tier's part of the output.
type lines struct {
	of   string
	out  *output
	rest []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		if err := l.print(line); err != nil {
			return 0, err
		}
		l.rest = rest
	}
}

func (l *lines) print(line []byte) error {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	_, err := fmt.Fprintf(l.out.to, "%-*s| %s\n", tierWidth, l.of, line)
	return err
}

// end prints a last line that wasn't ended.
func (l *lines) end() {
	if len(l.rest) > 0 {
		_ = l.print(l.rest) // who reads it has gone
	}
}

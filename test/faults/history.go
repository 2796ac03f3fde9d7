package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/lull-dev/lull/test/faults/history"
)

// keptHistory is where a run's history is kept, for -history and for people.
const keptHistory = "bin/results/history.jsonl.gz"

// replaced is how long it takes until another manager is at work.
const replaced = 10 * time.Second

// struck notes that something befalls the managers of the round now.
func (r *round) struck() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.strikes = append(r.strikes, time.Now())
}

// notes tell the judge of the round's history what befell it.
func (r *round) notes() (all []history.Note) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range r.strikes {
		n := history.Note{What: r.String(), Namespace: r.testbed.namespace, From: at, To: at.Add(replaced + r.blind), Outage: r.hasOutage()}
		if r.isAlone() {
			n.Namespace = ""
		}
		all = append(all, n)
	}
	return all
}

// judge holds what all rounds did to the model of test/faults/history, by the API
// server's audit log, and keeps it.
func (c *campaign) judge(ctx context.Context, began time.Time) {
	path, err := exec.CommandContext(ctx, c.faultctl, "logs", "audit").Output()
	if err != nil {
		c.report.trouble("where the audit log is: %v", err)
		return
	}
	h, err := history.FromLog(strings.TrimSpace(string(path)), began)
	if err != nil {
		c.report.trouble("the history can't be judged: %v", err)
		return
	}
	h.Notes = c.notes
	if err := h.Keep(keptHistory); err != nil {
		c.report.trouble("%v", err)
	}
	if len(h.Events) == 0 {
		c.report.trouble("the audit log has nothing of all that was done")
	}
	c.report.judged(len(h.Events), history.Judge(h))
	c.checkCopies(ctx, h)
}

// judgeKept judges a history that was kept. It returns the exit code.
func judgeKept(path string) int {
	h, err := history.FromFile(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 1
	}
	broken := history.Judge(h)
	for _, v := range broken {
		fmt.Println("HISTORY:", v)
	}
	fmt.Printf("%d events, %d violations\n", len(h.Events), len(broken))
	return min(1, len(broken))
}

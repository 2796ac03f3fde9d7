package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/util/exec"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

func TestARoundFails(t *testing.T) {
	proven, declared := layouts[0], layouts[1]
	torn := []string{"the server doesn't start"}
	for _, c := range []struct {
		name   string
		layout layout
		outcome
		fails bool
	}{
		{"a clean copy that is Proven", proven, outcome{verdict: v1alpha1.Proven}, false},
		{"a torn copy that is Proven", proven, outcome{verdict: v1alpha1.Proven, faults: torn}, true},
		{"a lower verdict than can be proven", proven, outcome{verdict: v1alpha1.Declared}, true},
		{"a torn copy that is Declared", declared, outcome{verdict: v1alpha1.Declared, faults: torn}, false},
		{"a clean copy that is Declared", declared, outcome{verdict: v1alpha1.Declared}, false},
		{"a verdict that is too high", declared, outcome{verdict: v1alpha1.Proven}, true},
	} {
		if said := c.layout.failure(c.outcome); (said != "") != c.fails {
			t.Errorf("%s: %q", c.name, said)
		}
	}
}

func TestTheLedgerOfACopy(t *testing.T) {
	frozen := framework.Pause{Rows: 100}
	for _, c := range []struct {
		name   string
		ledger framework.Ledger
		faults int
	}{
		{"all rows", framework.Ledger{Rows: 100, Last: 100, Checked: "OK"}, 0},
		{"all rows and the one under way", framework.Ledger{Rows: 101, Last: 101, Checked: "OK"}, 0},
		{"a row is missing", framework.Ledger{Rows: 99, Last: 99, Checked: "OK"}, 1},
		{"a row of after the freeze", framework.Ledger{Rows: 102, Last: 102, Checked: "OK"}, 1},
		{"a hole", framework.Ledger{Rows: 99, Last: 100, Checked: "OK"}, 1},
		{"a damaged row", framework.Ledger{Rows: 100, Last: 100, Damaged: 1, Checked: "OK"}, 1},
		{"a damaged table", framework.Ledger{Rows: 100, Last: 100, Checked: "Corrupt"}, 1},
	} {
		if faults := ledgerFaults(c.ledger, frozen); len(faults) != c.faults {
			t.Errorf("%s: %q", c.name, faults)
		}
	}
}

func TestACommandThatFailsOnACopyIsAFaultOfTheCopy(t *testing.T) {
	if faults, err := ofCopy("it is read", exec.CodeExitError{Err: errors.New("lost"), Code: 1}); len(faults) != 1 || err != nil {
		t.Errorf("the command's own failure: %q, %v", faults, err)
	}
	if faults, err := ofCopy("it is read", errors.New("connection refused")); len(faults) != 0 || err == nil {
		t.Errorf("a connection's failure: %q, %v", faults, err)
	}
}

func TestATableIsWrittenOfAllLayouts(t *testing.T) {
	if _, err := execute(t.Context(), options{rounds: 1, sideBySide: 1, only: "group", table: "a.md"}); err == nil || !strings.Contains(err.Error(), "leave out one") {
		t.Errorf("%v", err)
	}
}

func TestTheRunIsGood(t *testing.T) {
	proven, declared := layouts[0], layouts[1]
	for _, c := range []struct {
		name string
		*report
		good bool
	}{
		{"all clean, and what has to be torn is", &report{asked: 20, rows: []*row{
			{layout: proven, rounds: 20, clean: 20}, {layout: declared, rounds: 20, clean: 19, torn: 1}}}, true},
		{"nothing is torn in few rounds", &report{asked: 2, rows: []*row{{layout: declared, rounds: 2, clean: 2}}}, true},
		{"nothing is torn in many", &report{asked: 20, rows: []*row{{layout: declared, rounds: 20, clean: 20}}}, false},
		{"a round failed", &report{asked: 1, rows: []*row{{layout: proven, rounds: 1, torn: 1, failures: []string{"torn"}}}}, false},
		{"a round couldn't be run", &report{asked: 1, rows: []*row{{layout: proven, troubles: []string{"no pod"}}}}, false},
		{"rounds are missing", &report{asked: 2, rows: []*row{{layout: proven, rounds: 1, clean: 1}}}, false},
	} {
		if good := c.print(t.Output()); good != c.good {
			t.Errorf("%s: %v", c.name, good)
		}
	}
}

func TestTheTableIsReplacedInItsPage(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	r := &report{rows: []*row{{database: "MariaDB", version: "1.2", layout: layouts[0], rounds: 3, clean: 3}}}
	if err := os.WriteFile(page, []byte("# Page\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.writeInto(page); err == nil || !strings.Contains(err.Error(), "no place for the table") {
		t.Errorf("a page without the marks: %v", err)
	}
	if err := os.WriteFile(page, []byte("above\n"+tableBegins+"old\n"+tableEnds+"below\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.writeInto(page); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(written)), "\n")
	if lines[0] != "above" || lines[len(lines)-1] != "below" || slices.Contains(lines, "old") ||
		!slices.Contains(lines, "| MariaDB | 1.2 | one volume | `Proven` | 3 | 3 | 0 |") {
		t.Errorf("the page is\n%s", written)
	}
}

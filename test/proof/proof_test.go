package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/util/exec"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

func TestARoundFails(t *testing.T) {
	proven, declared := oneVolume, oneByOne
	torn := []string{"the server doesn't start"}
	for _, c := range []struct {
		name   string
		layout layout
		result
		fails bool
	}{
		{"a clean copy that is Proven", proven, result{Verdict: v1alpha1.Proven}, false},
		{"a torn copy that is Proven", proven, result{Verdict: v1alpha1.Proven, Faults: torn}, true},
		{"a lower verdict than can be proven", proven, result{Verdict: v1alpha1.Declared}, true},
		{"a torn copy that is Declared", declared, result{Verdict: v1alpha1.Declared, Faults: torn}, false},
		{"a clean copy that is Declared", declared, result{Verdict: v1alpha1.Declared}, false},
		{"a verdict that is too high", declared, result{Verdict: v1alpha1.Proven}, true},
	} {
		if said := c.layout.failure(c.result); (said != "") != c.fails {
			t.Errorf("%s: %q", c.name, said)
		}
	}
}

func TestTheLedgerOfACopy(t *testing.T) {
	due := span{100, 101}
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
		if faults := ledgerFaults(c.ledger, due); len(faults) != c.faults {
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

func TestWhatIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		name string
		options
		said string
	}{
		{"a table of a part", options{rounds: 1, sideBySide: 1, only: "group", table: "a.md"}, "leave out one"},
		{"a table of the short form", options{sideBySide: 1, table: "a.md"}, "say how many -rounds"},
		{"less than no round", options{rounds: -1, sideBySide: 1}, "a number from 0"},
		{"nothing that there is", options{rounds: 1, sideBySide: 1, only: "Oracle"}, "names no database"},
	} {
		if _, err := c.testbeds(); err == nil || !strings.Contains(err.Error(), c.said) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestTheShortFormHasBothVerdictsOfEachLog(t *testing.T) {
	beds, err := options{sideBySide: 1}.testbeds()
	if err != nil || len(beds) != len(shortForm) {
		t.Fatalf("%d of %d, %v", len(beds), len(shortForm), err)
	}
	seen := map[string]bool{}
	for _, bed := range beds {
		seen[bed.engine.name+" "+string(bed.layout.verdict)] = true
	}
	if len(seen) != 4 {
		t.Errorf("%v", seen)
	}
}

func TestEachDatabaseAndLayoutIsOneRow(t *testing.T) {
	beds, err := options{rounds: 1, sideBySide: 1}.testbeds()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, bed := range beds {
		if name := bed.row.String(); seen[name] {
			t.Errorf("there are two of %s", name)
		}
		seen[bed.row.String()] = true
	}
}

// imagesOf are those of the engines of testbeds, as make names them.
func imagesOf(t *testing.T, o options) []string {
	t.Helper()
	beds, err := o.testbeds()
	if err != nil {
		t.Fatal(err)
	}
	images := map[string]bool{}
	for _, bed := range beds {
		app, _ := bed.engine.original("default", dataClaim, logClaim)
		name, tag, _ := strings.Cut(strings.TrimPrefix(app.Image, "lull.dev/"), ":")
		images[strings.TrimSuffix(name+"-"+tag, "-test")] = true
	}
	return slices.Sorted(maps.Keys(images))
}

func TestMakeBringsTheImagesOfEachForm(t *testing.T) {
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)\nPROOF_VERSIONS := ,(\S+)\ntest-proof: UP = --images=([a-z,]+)\$`).FindSubmatch(text)
	if found == nil {
		t.Fatal("the Makefile doesn't say which images")
	}
	versions, usual := strings.Split(string(found[1]), ","), strings.Split(string(found[2]), ",")
	if all := slices.Sorted(slices.Values(slices.Concat(usual, versions))); !slices.Equal(all, imagesOf(t, options{rounds: 1, sideBySide: 1})) {
		t.Errorf("for the long form make brings %q", all)
	}
	for _, image := range imagesOf(t, options{sideBySide: 1}) {
		if !slices.Contains(usual, image) {
			t.Errorf("for the short form make doesn't bring %s", image)
		}
	}
}

func TestTheRunIsGood(t *testing.T) {
	proven, declared, whole := oneVolume, oneByOne, layout{verdict: v1alpha1.Declared, whole: "it is one file"}
	for _, c := range []struct {
		name string
		rows []*row
		good bool
	}{
		{"all clean, and what has to be torn is", []*row{
			{layout: proven, asked: 20, rounds: 20, clean: 20}, {layout: declared, asked: 20, rounds: 20, clean: 19, torn: 1}}, true},
		{"nothing is torn in few rounds", []*row{{layout: declared, asked: 2, rounds: 2, clean: 2}}, true},
		{"nothing is torn in many", []*row{{layout: declared, asked: 20, rounds: 20, clean: 20}}, false},
		{"nothing can be torn", []*row{{layout: whole, asked: 20, rounds: 20, clean: 20}}, true},
		{"one is torn, and no more are asked for", []*row{{layout: declared, asked: 3, untilTorn: true, rounds: 1, torn: 1}}, true},
		{"none is torn, and one is asked for", []*row{{layout: declared, asked: 3, untilTorn: true, rounds: 3, clean: 3}}, false},
		{"a round failed", []*row{{layout: proven, asked: 1, rounds: 1, torn: 1, failures: []string{"torn"}}}, false},
		{"a round couldn't be run", []*row{{layout: proven, asked: 1, rounds: 1, clean: 1, troubles: []string{"no pod"}}}, false},
		{"rounds are missing", []*row{{layout: proven, asked: 2, rounds: 1, clean: 1}}, false},
	} {
		r := report{rows: c.rows}
		if good := r.print(t.Output()); good != c.good {
			t.Errorf("%s: %v", c.name, good)
		}
		path := filepath.Join(t.TempDir(), "results", "proof.xml")
		if err := r.writeJUnit(path); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), "<failure>") == c.good {
			t.Errorf("%s: %v\n%s", c.name, err, text)
		}
	}
}

func TestARunGoesOnWhereTheOneBeforeItEnded(t *testing.T) {
	first := &report{journal: journal{filepath.Join(t.TempDir(), "journal")}}
	beds := func() []*testbed {
		all, err := options{rounds: 2, sideBySide: 1, only: "MariaDB 10.11, one volume"}.testbeds()
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := beds()
	if err := first.begin(before); err != nil {
		t.Fatal(err)
	}
	first.add(before[1].row, result{Database: "MariaDB 10.11", Layout: fileByFile.name, Version: "1.2", Round: 1, Verdict: v1alpha1.Declared, Faults: []string{"lost"}})
	after := beds()
	if err := (&report{journal: first.journal}).begin(after); err != nil {
		t.Fatal(err)
	}
	if one, copied := after[0].row, after[1].row; one.rounds != 0 || copied.rounds != 1 || copied.torn != 1 || copied.version != "1.2" || copied.done() {
		t.Errorf("%+v, %+v", one, copied)
	}
}

func TestWhatPostgreSQLSaysOfDamage(t *testing.T) {
	for line, damage := range map[string]bool{
		"LOG:  invalid record length at 0/3F1B2C8: wanted 24, got 0": false,
		"FATAL:  the database system is starting up":                 false,
		"PANIC:  could not locate a valid checkpoint record":         true,
		"WARNING:  page verification failed, calculated checksum 1":  true,
		"FATAL:  could not open directory":                           true,
	} {
		if postgresqlDamage("2026-01-01 00:00:00.000 UTC [7] "+line) != damage {
			t.Errorf("%s: %v", line, !damage)
		}
	}
}

func TestTheTableIsReplacedInItsPage(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	r := &report{rows: []*row{{database: "MariaDB 10.11", version: "1.2", layout: oneVolume, rounds: 3, clean: 3}}}
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
		!slices.Contains(lines, "| MariaDB 10.11 | 1.2 | one volume | `Proven` | 3 | 3 | 0 |") {
		t.Errorf("the page is\n%s", written)
	}
}

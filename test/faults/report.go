package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/lull-dev/lull/test/faults/history"
)

// report counts rounds and tells of violations as they come.
type report struct {
	took                         time.Duration
	points, reached, unreachable int

	mu       sync.Mutex
	rows     []*row
	cases    []testCase
	troubles []string
	// broken is what the history shows, in so many events.
	broken []history.Violation
	events int
	// left are copies in the driver.
	left []string
}

// row is one fault in the table.
type row struct {
	kind, fault                string
	rounds, missed, violations int
}

func newReport() *report { return &report{} }

// trouble notes that the suite itself could not do what it wanted. It fails
// the run: what was not tried has not been shown.
func (t *report) trouble(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	said := fmt.Sprintf(format, args...)
	t.troubles = append(t.troubles, said)
	fmt.Println("TROUBLE:", said)
}

func (t *report) add(r *round, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.rows, func(w *row) bool { return w.fault == r.fault.name && w.kind == r.scenario.kind })
	if i < 0 {
		i = len(t.rows)
		t.rows = append(t.rows, &row{kind: r.scenario.kind, fault: r.fault.name})
	}
	w := t.rows[i]
	w.rounds++
	c := testCase{Class: r.scenario.kind, Name: r.String(), Time: took.Seconds()}
	word := "ok"
	switch {
	case len(r.broken) > 0:
		w.violations++
		word = "VIOLATION"
		c.Failure = &failure{Message: r.broken[0], Text: strings.Join(r.broken, "\n")}
	case len(r.trouble) > 0:
		word = "TROUBLE"
		t.troubles = append(t.troubles, fmt.Sprintf("%s: %s", r, strings.Join(r.trouble, "; ")))
		c.Failure = &failure{Message: r.trouble[0], Text: strings.Join(r.trouble, "\n")}
	case r.fault.inject != nil && !r.noted(&r.sprung) || r.scenario.prelude != nil && !r.noted(&r.preluded):
		w.missed++
		word = "missed"
	}
	t.cases = append(t.cases, c)
	fmt.Printf("%-9s %5.1fs  %s\n", word, took.Seconds(), r)
	for _, said := range slices.Concat(r.broken, r.trouble) {
		fmt.Printf("          %s\n", said)
	}
	if len(r.broken)+len(r.trouble) > 0 {
		fmt.Printf("          %s\n", r.where())
	}
}

// judged notes what the history of all rounds shows.
func (t *report) judged(events int, broken []history.Violation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events, t.broken = events, broken
	c := testCase{Class: "history", Name: "what the API server saw fits the model"}
	if len(broken) > 0 {
		var said []string
		for _, v := range broken {
			said = append(said, v.String())
		}
		c.Failure = &failure{Message: broken[0].Message, Text: strings.Join(said, "\n")}
	}
	t.cases = append(t.cases, c)
}

// leaks notes a copy that is left in the driver.
func (t *report) leaks(said string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left = append(t.left, said)
	t.cases = append(t.cases, testCase{Class: "driver", Name: "nothing is left in it", Failure: &failure{Message: said, Text: said}})
}

// where tells where to look further.
func (r *round) where() string {
	var logs []string
	for _, m := range r.testbed.past {
		logs = append(logs, m.log)
	}
	return fmt.Sprintf("namespace %s, logs %s", r.testbed.namespace, strings.Join(logs, " "))
}

// print prints the table. It is true where all went well.
func (t *report) print(to io.Writer) (good bool) {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nOF A\tFAULT\tROUNDS\tMISSED\tVIOLATIONS")
	var all row
	for _, w := range t.rows {
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\n", w.kind, w.fault, w.rounds, w.missed, w.violations)
		all.rounds, all.missed, all.violations = all.rounds+w.rounds, all.missed+w.missed, all.violations+w.violations
	}
	fmt.Fprintf(table, "\tall\t%d\t%d\t%d\n", all.rounds, all.missed, all.violations)
	table.Flush()
	fmt.Fprintf(to, "%d of %d failpoints were reached, %d can't be; it took %s\n", t.reached, t.points, t.unreachable, t.took.Round(time.Second))
	fmt.Fprintf(to, "the history, %d events, has %d violations; it is kept in %s\n", t.events, len(t.broken), keptHistory)
	for _, v := range t.broken {
		fmt.Fprintln(to, "HISTORY:", v)
	}
	for _, said := range t.left {
		fmt.Fprintln(to, "LEAK:", said)
	}
	for _, said := range t.troubles {
		fmt.Fprintln(to, "TROUBLE:", said)
	}
	return all.violations == 0 && len(t.broken) == 0 && len(t.left) == 0 && len(t.troubles) == 0
}

type testSuites struct {
	XMLName xml.Name  `xml:"testsuites"`
	Suite   testSuite `xml:"testsuite"`
}

type testSuite struct {
	Name  string     `xml:"name,attr"`
	Cases []testCase `xml:"testcase"`
}

type testCase struct {
	Class   string   `xml:"classname,attr"`
	Name    string   `xml:"name,attr"`
	Time    float64  `xml:"time,attr"`
	Failure *failure `xml:"failure"`
}

type failure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// write writes a JUnit report.
func (t *report) write(path string) error {
	suite := testSuite{Name: "faults", Cases: t.cases}
	for _, said := range t.troubles {
		suite.Cases = append(suite.Cases, testCase{Class: "suite", Name: "does what it wants", Failure: &failure{Message: said, Text: said}})
	}
	var text bytes.Buffer
	text.WriteString(xml.Header)
	if err := xml.NewEncoder(&text).Encode(testSuites{Suite: suite}); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

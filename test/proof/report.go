package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// report counts rounds and tells of them as they come.
type report struct {
	asked int
	took  time.Duration

	mu   sync.Mutex
	rows []*row
}

// row is one database and layout in the table.
type row struct {
	database, version string
	layout            layout

	rounds, clean, torn int
	failures            []string // of rounds
	troubles            []string // what the test itself couldn't do
}

func (w *row) String() string { return w.database + ", " + w.layout.name }

// trouble notes that the test could not do what it wanted, 0 where that is no
// round's. It fails the run: what was not tried has not been shown.
func (t *report) trouble(w *row, round int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	said := fmt.Sprintf("%s, round %d: %v", w, round, err)
	w.troubles = append(w.troubles, said)
	fmt.Println("TROUBLE ", said)
}

// add counts a round.
func (t *report) add(w *row, round int, o outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.rounds++
	word := "clean"
	if len(o.faults) > 0 {
		w.torn++
		word = "torn"
	} else {
		w.clean++
	}
	failure := w.layout.failure(o)
	if failure != "" {
		w.failures = append(w.failures, fmt.Sprintf("%s, round %d: %s", w, round, failure))
		word = "FAILED"
	}
	fmt.Printf("%-8s %5.1fs  %s, round %d: %s\n", word, o.took.Seconds(), w, round, o.verdict)
	for i, fault := range o.faults {
		if i == 3 && failure == "" {
			fmt.Printf("         and %d more\n", len(o.faults)-i)
			break
		}
		fmt.Println("        ", fault)
	}
}

// print prints the table. It is true where all went well.
func (t *report) print(to io.Writer) (good bool) {
	good = true
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nDATABASE\tVERSION\tLAYOUT\tVERDICT\tROUNDS\tCLEAN\tTORN")
	for _, w := range t.rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%d\n", w.database, w.version, w.layout.name, w.layout.verdict, w.rounds, w.clean, w.torn)
	}
	table.Flush()
	fmt.Fprintf(to, "it took %s\n", t.took.Round(time.Second))
	for _, w := range t.rows {
		for _, said := range append(w.failures, w.troubles...) {
			good = false
			fmt.Fprintln(to, "FAILED:", said)
		}
		if w.rounds < t.asked {
			good = false
			fmt.Fprintf(to, "FAILED: %s: %d of %d rounds were run\n", w, w.rounds, t.asked)
		}
		switch said := w.layout.harmless(w.rounds, w.torn); {
		case said == "":
		case w.rounds >= enoughRounds:
			good = false
			fmt.Fprintf(to, "FAILED: %s: %s\n", w, said)
		default:
			fmt.Fprintf(to, "note: %s: %s; from ROUNDS=%d on this fails\n", w, said, enoughRounds)
		}
	}
	return good
}

// What stands around the table in a page.
const (
	tableBegins = "<!-- the table that make test-proof writes -->\n"
	tableEnds   = "<!-- its end -->\n"
)

// writeInto replaces the table of a page.
func (t *report) writeInto(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(page), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the table: write the lines %q and %q", path, strings.TrimSpace(tableBegins), strings.TrimSpace(tableEnds))
	}
	return os.WriteFile(path, []byte(before+tableBegins+t.markdown()+tableEnds+after), 0o644)
}

func (t *report) markdown() string {
	var b strings.Builder
	b.WriteString("| database | version | layout | verdict | rounds | clean | torn |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, w := range t.rows {
		fmt.Fprintf(&b, "| %s | %s | %s | `%s` | %d | %d | %d |\n", w.database, w.version, w.layout.name, w.layout.verdict, w.rounds, w.clean, w.torn)
	}
	return b.String()
}

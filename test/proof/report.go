package main

import (
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// report counts rounds and tells of them as they come.
type report struct {
	took    time.Duration
	journal journal

	mu   sync.Mutex
	rows []*row
}

// row is one database and layout in the table.
type row struct {
	database, version string
	layout            layout
	// asked is how many rounds are run. Of a layout that can't be Proven they end with
	// the first torn copy where untilTorn is set.
	asked     int
	untilTorn bool

	rounds, clean, torn int
	took                time.Duration // of all rounds
	failures            []string      // of rounds
	troubles            []string      // what the test itself couldn't do
}

func (w *row) String() string { return w.database + ", " + w.layout.name }

// done is true where all rounds have been run.
func (w *row) done() bool {
	return w.rounds >= w.asked || w.untilTorn && w.torn > 0
}

// result is a round that has been run.
type result struct {
	Database string               `json:"database"`
	Layout   string               `json:"layout"`
	Version  string               `json:"version"`
	Round    int                  `json:"round"`
	Verdict  v1alpha1.Consistency `json:"verdict"`
	Faults   []string             `json:"faults,omitempty"` // of the copy, none where it is clean
	Took     time.Duration        `json:"tookNanoseconds"`
}

// count counts a round. It returns why the round fails, empty where it doesn't.
func (w *row) count(r result) (failure string) {
	w.rounds++
	w.took += r.Took
	w.version = r.Version
	if len(r.Faults) > 0 {
		w.torn++
	} else {
		w.clean++
	}
	failure = w.layout.failure(r)
	if failure != "" {
		w.failures = append(w.failures, fmt.Sprintf("%s, round %d: %s", w, r.Round, failure))
	}
	return failure
}

// trouble notes that the test could not do what it wanted, 0 where that is no
// round's. It fails the run: what was not tried has not been shown.
func (t *report) trouble(w *row, round int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	said := fmt.Sprintf("%s, round %d: %v", w, round, err)
	w.troubles = append(w.troubles, said)
	fmt.Println("TROUBLE ", said)
}

// add counts a round, and writes it down.
func (t *report) add(w *row, r result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	failure := w.count(r)
	word := "clean"
	switch {
	case failure != "":
		word = "FAILED"
	case len(r.Faults) > 0:
		word = "torn"
	}
	fmt.Printf("%-8s %5.1fs  %s, round %d: %s\n", word, r.Took.Seconds(), w, r.Round, r.Verdict)
	for i, fault := range r.Faults {
		if i == 3 && failure == "" {
			fmt.Printf("         and %d more\n", len(r.Faults)-i)
			break
		}
		fmt.Println("        ", fault)
	}
	if err := t.journal.write(r); err != nil {
		w.troubles = append(w.troubles, err.Error())
	}
}

// print prints the table. It is true where all went well.
func (t *report) print(to io.Writer) (good bool) {
	good = true
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nDATABASE\tVERSION\tLAYOUT\tVERDICT\tROUNDS\tCLEAN\tTORN\tEACH")
	for _, w := range t.rows {
		each := w.took / time.Duration(max(1, w.rounds))
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%.0fs\n", w.database, w.version, w.layout.name, w.layout.verdict, w.rounds, w.clean, w.torn, each.Seconds())
	}
	table.Flush()
	fmt.Fprintf(to, "it took %s\n", t.took.Round(time.Second))
	for _, w := range t.rows {
		for _, said := range w.wrong() {
			good = false
			fmt.Fprintln(to, "FAILED:", said)
		}
		if said := w.harmless(); said != "" && w.rounds > 0 && !w.isEnough() {
			fmt.Fprintf(to, "note: %s: %s; from ROUNDS=%d on this fails\n", w, said, enoughRounds)
		}
	}
	return good
}

// wrong is why a row fails the run.
func (w *row) wrong() []string {
	all := append(append([]string{}, w.failures...), w.troubles...)
	if !w.done() {
		all = append(all, fmt.Sprintf("%s: %d of %d rounds were run", w, w.rounds, w.asked))
	}
	if said := w.harmless(); said != "" && w.isEnough() {
		all = append(all, fmt.Sprintf("%s: %s", w, said))
	}
	return all
}

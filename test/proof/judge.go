package main

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/client-go/util/exec"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/framework"
)

// enoughRounds is after how many a layout that can't be Proven has to have shown
// a torn copy.
const enoughRounds = 20

// failure is why a round fails, empty where it doesn't.
func (l layout) failure(r result) string {
	switch {
	case r.Verdict != l.verdict:
		return fmt.Sprintf("the verdict is %s, and should be %s", r.Verdict, l.verdict)
	case l.verdict == v1alpha1.Proven && len(r.Faults) > 0:
		return "a copy that is Proven is torn"
	}
	return ""
}

// harmless is why a layout's rounds show nothing, empty where they do, or nothing
// can be shown.
func (w *row) harmless() string {
	if w.layout.verdict == v1alpha1.Proven || w.layout.whole != "" || w.torn > 0 {
		return ""
	}
	return fmt.Sprintf("no copy in %d rounds is torn: this load can't show a false verdict", w.rounds)
}

// isEnough is true after as many rounds as have to show a torn copy.
func (w *row) isEnough() bool { return w.rounds >= enoughRounds || w.untilTorn && w.done() }

// ofCopy is an error of a command that ended, as a fault of the copy that it ran
// on. Any other is one of the test.
func ofCopy(what string, err error) (faults []string, _ error) {
	if ended := exec.ExitError(nil); errors.As(err, &ended) {
		said := strings.TrimSuffix(fmt.Sprintf("%s: %v", what, err), ": ") // without a word of its own
		return []string{strings.ReplaceAll(said, "\n", "; ")}, nil
	}
	return nil, err
}

// ledgerFaults are what is wrong with the rows of a copy.
func ledgerFaults(l framework.Ledger, due span) (faults []string) {
	wrong := func(is bool, format string, args ...any) {
		if is {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	wrong(l.Checked != "" && l.Checked != "OK", "the server says of the ledger: %s", l.Checked)
	wrong(l.Damaged > 0, "%d rows are damaged", l.Damaged)
	wrong(l.Rows != l.Last, "%d rows are there, and the last is %d", l.Rows, l.Last)
	wrong(l.Last < due.least, "%d rows were acknowledged before the freeze, and the last is %d", due.least, l.Last)
	wrong(l.Last > due.most, "at most %d rows were written before the cut, and the last is %d", due.most, l.Last)
	return faults
}

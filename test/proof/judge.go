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
func (l layout) failure(o outcome) string {
	switch {
	case o.verdict != l.verdict:
		return fmt.Sprintf("the verdict is %s, and should be %s", o.verdict, l.verdict)
	case l.verdict == v1alpha1.Proven && len(o.faults) > 0:
		return "a copy that is Proven is torn"
	}
	return ""
}

// harmless is why a layout's rounds show nothing, empty where they do.
func (l layout) harmless(rounds, torn int) string {
	if l.verdict == v1alpha1.Proven || torn > 0 {
		return ""
	}
	return fmt.Sprintf("no copy in %d rounds is torn: this load can't show a false verdict", rounds)
}

// ofCopy is an error of a command that ended, as a fault of the copy that it ran
// on. Any other is one of the test.
func ofCopy(what string, err error) (faults []string, _ error) {
	if ended := exec.ExitError(nil); errors.As(err, &ended) {
		return []string{strings.TrimSuffix(fmt.Sprintf("%s: %v", what, err), ": ")}, nil // without a word of its own
	}
	return nil, err
}

// ledgerFaults are what is wrong with the rows of a copy, of what was written
// until that pause.
func ledgerFaults(l framework.Ledger, frozen framework.Pause) (faults []string) {
	wrong := func(is bool, format string, args ...any) {
		if is {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	wrong(l.Checked != "OK", "the server says of the ledger: %s", l.Checked)
	wrong(l.Damaged > 0, "%d rows are damaged", l.Damaged)
	wrong(l.Rows != l.Last, "%d rows are there, and the last is %d", l.Rows, l.Last)
	wrong(l.Last < frozen.Rows, "%d rows were acknowledged before the freeze, and the last is %d", frozen.Rows, l.Last)
	wrong(l.Last > frozen.Rows+1, "%d rows were acknowledged before the freeze, and one of after it is there: the last is %d", frozen.Rows, l.Last)
	return faults
}

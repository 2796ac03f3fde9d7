package main

import (
	"cmp"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	resticexport "github.com/lull-dev/lull/restic-export"
)

// How much is kept of what restic says on its standard error.
const (
	keptErrors  = 5
	keptLines   = 3
	longestText = 256
)

// words are what restic says on its standard error, as much as a person has to
// know.
type words struct {
	// exit is its last sentence.
	exit string
	// errors are the first few that name a file, and how many there are.
	errors []string
	count  int
	// last are the last few lines of what else it says, the newest first.
	last []string
}

func (w *words) hear(line []byte) {
	m, isMessage := resticexport.ReadMessage(line)
	switch {
	case !isMessage:
		if text := withoutRules(string(line)); text != "" {
			w.keep(text)
		}
	case m.Kind == resticexport.KindExitError:
		w.exit = resticexport.Truncate(withoutRules(m.Text), resticexport.MaxMessage)
	case m.Kind == resticexport.KindError && m.During == "scan":
		// It is said again where the file is read.
	case m.Kind == resticexport.KindError:
		w.count++
		if len(w.errors) < keptErrors {
			w.errors = append(w.errors, resticexport.Truncate(errorText(m), longestText))
		}
	}
}

// withoutRules is a text without the lines of dashes that Azure's library puts into
// its errors.
func withoutRules(text string) string {
	var rest []string
	for line := range strings.Lines(text) {
		if strings.Trim(line, "- \r\n") != "" {
			rest = append(rest, strings.TrimRight(line, " \r\n"))
		}
	}
	return strings.Join(rest, "\n")
}

func errorText(m resticexport.Message) string {
	text := strings.TrimSpace(m.Error.Message + m.Text)
	if m.Item != "" && !strings.Contains(text, m.Item) {
		return m.Item + ": " + text
	}
	return text
}

// hearOnce hears a line, unless it was heard within another one.
func (w *words) hearOnce(line string) {
	if !strings.Contains(w.all(), resticexport.Truncate(line, longestText/2)) {
		w.keep(line)
	}
}

func (w *words) keep(line string) {
	w.last = append([]string{resticexport.Truncate(line, longestText)}, w.last[:min(len(w.last), keptLines-1)]...)
}

// all is everything, what matters most first.
func (w *words) all() string {
	parts := append([]string{}, w.errors...)
	if more := w.count - len(w.errors); more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more errors", more))
	}
	if w.exit != "" {
		parts = append(parts, w.exit)
	}
	return strings.Join(append(parts, w.last...), "\n")
}

// failure is that of a restic that ended with a code, or by a signal.
func (w *words) failure(exitCode int, err error) error {
	text := w.all()
	var exit *exec.ExitError
	if text == "" || errors.As(err, &exit) && !exit.Exited() {
		text = strings.TrimSpace(err.Error() + "\n" + text)
	}
	cause := cmp.Or(resticexport.CauseOf(exitCode, text), resticexport.CauseFailed)
	return &failure{cause: cause, message: text, exitCode: exitCode}
}

// isSilent is true as long as it has said nothing.
func (w *words) isSilent() bool { return w.all() == "" }

// isHopeless is true where it tells of what another try doesn't mend.
func (w *words) isHopeless() bool {
	switch w.cause() {
	case resticexport.CauseUntrusted, resticexport.CauseNoBucket, resticexport.CauseAccessDenied:
		return true
	}
	return false
}

func (w *words) cause() resticexport.Cause { return resticexport.CauseOf(-1, w.all()) }

// noAnswer is the failure of a look that was ended.
func (w *words) noAnswer(patience time.Duration) error {
	f := &failure{cause: w.cause(), message: w.all(), exitCode: -1}
	if f.cause == resticexport.CauseFailed {
		f.cause = resticexport.CauseUnreachable
	}
	if f.message == "" {
		f.message = fmt.Sprintf("the repository doesn't answer within %s", 5*patience)
	}
	return f
}

package cut

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Progress compares a set of snapshots that is expected with what is there.
type Progress struct {
	Expected int
	// Missing, Uncut and Unready name claims, in the order expected.
	Missing, Uncut, Unready []string
	// Errors are the driver's complaints, each with the names of its claims.
	Errors []string
	hint   string
}

// Compare is the progress of the expected claims. A claim that observed
// doesn't hold is missing.
func Compare(expected []string, observed map[string]Observed) Progress {
	p := Progress{Expected: len(expected)}
	said := map[string][]string{}
	for _, claim := range expected {
		o := observed[claim]
		if !o.Exists {
			p.Missing = append(p.Missing, claim)
		}
		if !o.Cut {
			p.Uncut = append(p.Uncut, claim)
			p.hint = cmp.Or(p.hint, o.Hint)
		}
		if !o.Ready {
			p.Unready = append(p.Unready, claim)
		}
		if o.Error != "" {
			said[o.Error] = append(said[o.Error], claim)
		}
	}
	for _, text := range slices.Sorted(maps.Keys(said)) {
		p.Errors = append(p.Errors, strings.Join(said[text], ", ")+": "+text)
	}
	return p
}

// Gone are the claims whose snapshot was there before and isn't any more, by
// name. One that was never seen may only be late.
func Gone(before, now map[string]Observed) []string {
	var gone []string
	for _, claim := range slices.Sorted(maps.Keys(before)) {
		if before[claim].Exists && !now[claim].Exists {
			gone = append(gone, claim)
		}
	}
	return gone
}

// Replaced says which snapshots aren't the ones that are on record, empty where
// none is another.
func Replaced(observed map[string]Observed) string {
	var replaced []string
	for _, claim := range slices.Sorted(maps.Keys(observed)) {
		if r := observed[claim].Replaced; r != "" {
			replaced = append(replaced, r)
		}
	}
	return strings.Join(replaced, "; ")
}

// AllCut is true once every expected snapshot is cut. It is false for an
// empty set: nothing was backed up by it.
func (p Progress) AllCut() bool { return p.Expected > 0 && len(p.Uncut) == 0 }

// AllReady is true once every expected snapshot is ready.
func (p Progress) AllReady() bool { return p.Expected > 0 && len(p.Unready) == 0 }

// ReadyOfAll is the ready snapshots and all, as "1/2".
func (p Progress) ReadyOfAll() string {
	return fmt.Sprintf("%d/%d", p.Expected-len(p.Unready), p.Expected)
}

// Error is what the driver says, empty where it has no complaint.
func (p Progress) Error() string { return strings.Join(p.Errors, "; ") }

// Hint says in brackets, after a space, what may be amiss where not all is cut.
// It is empty where nothing is known.
func (p Progress) Hint() string {
	if p.hint == "" {
		return ""
	}
	return " (" + p.hint + ")"
}

const (
	firstDelay = time.Second
	maxDelay   = 30 * time.Second
)

// AttemptDelay is how long to wait after the attempt of that number, from 1,
// before the next: 1s, 2s, 4s and so on, at most 30s.
func AttemptDelay(attempt int32) time.Duration {
	delay := firstDelay
	for ; attempt > 1 && delay < maxDelay; attempt-- {
		delay *= 2
	}
	return min(delay, maxDelay)
}

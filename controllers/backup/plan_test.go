package backup

import (
	"slices"
	"testing"

	"github.com/lull-dev/lull/hooks"
)

func TestUntold(t *testing.T) {
	warnings := []hooks.Warning{{Reason: "A", Message: "one"}, {Reason: "B", Message: "two"}, {Reason: "A", Message: "three"}, {Reason: "A", Message: "four"}}
	want := []hooks.Warning{{Reason: "A", Message: "one; four"}, {Reason: "B", Message: "two"}}
	if got := untold(warnings, []string{"three"}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := untold(warnings, []string{"one", "two", "three", "four"}); len(got) != 0 {
		t.Errorf("told twice: %v", got)
	}
}

package reconcile

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestShorten(t *testing.T) {
	long := strings.Repeat("ü", 100)
	for limit := 3; limit <= len(long); limit++ {
		got := shorten(long, limit)
		if len(got) > limit || !utf8.ValidString(got) || (got == long) != (limit == len(long)) {
			t.Errorf("at most %d bytes: %q", limit, got)
		}
	}
}

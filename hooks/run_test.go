package hooks

import (
	"strings"
	"testing"

	"github.com/lull-dev/lull/snapshot/limits"
)

func TestTheLastWordsCanBePrinted(t *testing.T) {
	for name, c := range map[string]struct{ written, last string }{
		"lines":                      {"one\ntwo\r\n\tthree\n", "one two three"},
		"control characters":         {"\x00a\x07b\x1b[31mc\u0085d\u200be\x7f", "ab[31mc de"},
		"bytes that are no text":     {"a\xff\xfeb", "ab"},
		"a character that is cut":    {"é" + strings.Repeat("x", messageCap-1), strings.Repeat("x", messageCap-1)},
		"what can't be printed ends": {"the cause\n" + strings.Repeat("\x00", 2*messageCap), "the cause"},
	} {
		t.Run(name, func(t *testing.T) {
			var written tail
			if _, err := written.Write([]byte(c.written)); err != nil {
				t.Fatal(err)
			}
			if got := written.last(); got != c.last {
				t.Errorf("got %q, want %q", got, c.last)
			}
		})
	}
}

// What is kept of what a command prints doesn't grow, however it comes: all pods of
// all attempts have some.
func TestWhatIsKeptOfOutputIsBounded(t *testing.T) {
	var kept tail
	for _, size := range []int{1, limits.KeptOutputBytes - 1, 10 * limits.KeptOutputBytes, 3} {
		if n, err := kept.Write([]byte(strings.Repeat("x", size))); n != size || err != nil {
			t.Fatalf("wrote %d of %d, %v", n, size, err)
		}
		if len(kept.buf) > limits.KeptOutputBytes || cap(kept.buf) > 2*limits.KeptOutputBytes {
			t.Errorf("after %d bytes %d are kept, with room for %d", size, len(kept.buf), cap(kept.buf))
		}
	}
	if _, err := kept.Write([]byte(" end")); err != nil || !strings.HasSuffix(kept.last(), "x end") {
		t.Errorf("the last is %q, %v", kept.last(), err)
	}
}

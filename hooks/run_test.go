package hooks

import (
	"strings"
	"testing"
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

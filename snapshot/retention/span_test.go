package retention

import (
	"fmt"
	"strings"
	"testing"
)

func TestSpansAreReadAsResticsDurations(t *testing.T) {
	for text, want := range map[string]Span{
		"": {}, "0d": {}, "48h": {Hours: 48}, "30d": {Days: 30}, "6m": {Months: 6}, "1y": {Years: 1}, "1y6m": {Years: 1, Months: 6}, "1y6m7d48h": {1, 6, 7, 48},
		"007h": {Hours: 7}, "999999h": {Hours: 999999},
	} {
		got, err := ParseSpan(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if got.IsZero() != (want == Span{}) {
			t.Errorf("%q: is zero: %t", text, got.IsZero())
		}
	}
}

func TestWhatIsNoSpanIsToldHowToBeWritten(t *testing.T) {
	for _, text := range []string{"30", "d", "-3d", "1.5h", "3w", "2h1d", "1d1d", "1h30m", "1d 2h", " 1d", "1d\n", "1Y", "٣d", "1000000h", "forever"} {
		if got, err := ParseSpan(text); err == nil || !strings.Contains(err.Error(), "30d") {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// FuzzParseSpan: nothing that is written panics, and what is read is what was
// written, in a shorter way.
func FuzzParseSpan(f *testing.F) {
	for _, seed := range []string{"", "1y6m7d48h", "30d", "1h30m", "99999999999999999999h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		span, err := ParseSpan(text)
		if err != nil {
			return
		}
		again, err := ParseSpan(fmt.Sprintf("%dy%dm%dd%dh", span.Years, span.Months, span.Days, span.Hours))
		if err != nil || again != span {
			t.Errorf("%q: %+v, then %+v, %v", text, span, again, err)
		}
	})
}

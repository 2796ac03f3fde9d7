package cut

import (
	"testing"
	"time"
)

// A time may be written by a clock half an hour ahead of ours, or behind it, and ours
// may be set meanwhile: no wait takes longer for it than it should.
func TestLeft(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ began, want time.Duration }{
		"just begun":             {0, 10 * time.Second},
		"under way":              {-3 * time.Second, 7 * time.Second},
		"over":                   {-10 * time.Second, 0},
		"long over":              {-time.Hour, 0},
		"a clock that is ahead":  {30 * time.Minute, 0},
		"a little ahead":         {time.Millisecond, 0},
		"a clock that is behind": {-30 * time.Minute, 0},
		"a little behind":        {-time.Millisecond, 10*time.Second - time.Millisecond},
	} {
		if got := Left(now.Add(c.began), 10*time.Second, now); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

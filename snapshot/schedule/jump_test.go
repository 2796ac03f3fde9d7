package schedule

import (
	"testing"
	"time"
)

func TestAClockThatJumps(t *testing.T) {
	for name, c := range map[string]struct{ wall, monotonic, want time.Duration }{
		"no time":                   {0, 0, 0},
		"side by side":              {time.Hour, time.Hour, 0},
		"a leap second":             {11 * time.Second, 10 * time.Second, 0},
		"put forward":               {time.Hour + 10*time.Second, 10 * time.Second, time.Hour},
		"put back":                  {10*time.Second - time.Hour, 10 * time.Second, -time.Hour},
		"put forward by little":     {11*time.Second + time.Millisecond, 10 * time.Second, time.Second + time.Millisecond},
		"put back by little":        {9*time.Second - time.Millisecond, 10 * time.Second, -time.Second - time.Millisecond},
		"a machine that slept long": {72 * time.Hour, 5 * time.Second, 72*time.Hour - 5*time.Second},
	} {
		if got := Jump(c.wall, c.monotonic); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

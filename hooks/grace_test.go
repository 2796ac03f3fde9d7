package hooks

import (
	"testing"
	"time"
)

func TestGrace(t *testing.T) {
	for left, want := range map[time.Duration]time.Duration{
		time.Hour:       maxGrace,
		2 * time.Second: 2*time.Second - killMargin,
		0:               minGrace,
		-time.Minute:    minGrace,
	} {
		if got := grace(left); got != want {
			t.Errorf("with %s left: %s, want %s", left, got, want)
		}
	}
}

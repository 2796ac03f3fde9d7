package policy

import (
	"testing"
	"time"
)

// Backups wait while runs are made, and for a while after one that was late.
func TestRush(t *testing.T) {
	now := time.Unix(1000, 0)
	r := &rush{}
	for _, step := range []struct {
		what   string
		lateBy time.Duration
		after  time.Duration // its end
		is     bool
	}{
		{"in time", lateness, 0, false},
		{"late", lateness + 1, catchingUp - 1, true},
		{"nothing late any more", 0, catchingUp, false},
	} {
		end := r.begin(now)
		if !r.goesOn(now.Add(longestRush - 1)) {
			t.Errorf("%s: no rush while it is made", step.what)
		}
		if r.goesOn(now.Add(longestRush)) {
			t.Errorf("%s: one that hangs has all others wait", step.what)
		}
		r.made(now, step.lateBy)
		end()
		if is := r.goesOn(now.Add(step.after)); is != step.is {
			t.Errorf("%s: a rush %s after it: %v, want %v", step.what, step.after, is, step.is)
		}
		now = now.Add(time.Minute)
	}
}

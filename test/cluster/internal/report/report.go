// Package report tells the person who runs the program what it does and how
// long that took, in plain lines that read the same in a terminal and in a log.
package report

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// stillEvery is how often a step that takes long says that it is at work.
const stillEvery = 15 * time.Second

// A Reporter writes lines. Its methods may be called from many goroutines.
type Reporter struct {
	mu    sync.Mutex
	out   io.Writer
	began time.Time
}

// New returns a Reporter that writes to out.
func New(out io.Writer) *Reporter {
	return &Reporter{out: out, began: time.Now()}
}

// Say writes one line.
func (r *Reporter) Say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, "%6s  %s\n", brief(time.Since(r.began)), fmt.Sprintf(format, args...))
}

// Step runs do and says when it is done. While it runs, it says so now and
// then; progress, which may be nil, adds how far it has come.
func (r *Reporter) Step(what string, progress func() string, do func() error) error {
	began := time.Now()
	done := make(chan struct{})
	go r.whileRunning(what, progress, began, done)
	err := do()
	close(done)
	took := brief(time.Since(began))
	if err != nil {
		r.Say("%s: failed after %s", what, took)
		return err
	}
	r.Say("%s: done (%s)", what, took)
	return nil
}

func (r *Reporter) whileRunning(what string, progress func() string, began time.Time, done chan struct{}) {
	tick := time.NewTicker(stillEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			how := ""
			if progress != nil {
				how = ", " + progress()
			}
			r.Say("%s: still at it (%s%s)", what, brief(time.Since(began)), how)
		}
	}
}

// brief writes a duration as people would: 0.4s, 12s, 3m20s.
func brief(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

package hooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	wordHeld      = "HELD"
	wordStillHeld = "STILL_HELD"
	// wordUses stands before a folder that the files of what is held are in, in a line
	// before HELD.
	wordUses = "USES "
)

const (
	// minGrace and maxGrace bound how long a session may take to end after its
	// input has ended. A little is left to it even when it is late: its end is a
	// hop over the network away.
	minGrace = 250 * time.Millisecond
	maxGrace = 5 * time.Second
	// killMargin is how long it mostly takes to kill a session.
	killMargin = 250 * time.Millisecond
)

// grace is that of a session that has to be over when the time left is.
func grace(left time.Duration) time.Duration {
	return max(minGrace, min(maxGrace, left-killMargin))
}

var (
	errEndedEarly  = errors.New("the session ended before it was released: the freeze was lost")
	errNoTestimony = errors.New("the session ended without STILL_HELD: it did not hold throughout")
	errNeverHeld   = errors.New("the session ended without HELD")
	errNoEnd       = errors.New("its process did not end with its input")
)

// heldSession is one held session: a command that froze and waits for the end of
// its input. It is safe for one owner; its words may come at any time.
type heldSession struct {
	process *process
	command []string
	in      *io.PipeReader // of the command
	input   *io.PipeWriter // our end of it
	words   words
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // of the stream; read after done
}

// open starts the command and returns at once. ctx bounds the whole session:
// its end breaks the stream.
func open(ctx context.Context, of *process, command []string) *heldSession {
	s := newSession(of, command)
	ctx, s.cancel = context.WithCancel(ctx)
	go func() { s.live(ctx) }()
	return s
}

func newSession(of *process, command []string) *heldSession {
	s := &heldSession{
		process: of,
		command: command,
		done:    make(chan struct{}),
		words:   words{held: make(chan struct{}), still: make(chan struct{})},
	}
	s.in, s.input = io.Pipe()
	return s
}

// live is the session, from its beginning to its end.
func (s *heldSession) live(ctx context.Context) {
	defer close(s.done)
	s.err = s.process.run(ctx, s.command, s.in, &s.words)
	if s.sawEnd() {
		s.words.end()
	}
	s.in.Close()
}

// awaitHeld returns once the session says that it holds.
func (s *heldSession) awaitHeld(ctx context.Context) error {
	select {
	case <-s.words.held:
		return nil
	case <-s.done:
		if closed(s.words.held) {
			return nil // both at once: that it has ended is seen as the loss of its freeze
		}
		return failure("hold", Join(errNeverHeld, s.err), &s.process.stderr, &s.words.all)
	case <-ctx.Done():
		if s.words.rest() == wordHeld {
			return failure("hold: HELD came without a newline after it, which ends the word (echo HELD)", context.Cause(ctx), &s.process.stderr)
		}
		return failure("hold: no HELD", context.Cause(ctx), &s.process.stderr, &s.words.all)
	}
}

// release ends the session's input and waits for its end. A session that
// doesn't end within the grace is killed. Thawed is false where the end was not seen.
func (s *heldSession) release(ctx context.Context, grace time.Duration) Release {
	defer s.cancel()
	lost := s.ended()
	s.words.releasing()
	s.input.Close()
	patience, cancel := context.WithTimeoutCause(ctx, grace, errNoEnd)
	defer cancel()
	select {
	case <-s.done:
	case <-patience.Done():
		killed, err := s.process.kill(ctx)
		if err != nil {
			err = Join(errMayGoOn, err)
		}
		s.cancel()
		return Release{Thawed: killed, Err: failure("hold", Join(context.Cause(patience), err), &s.process.stderr)}
	}
	switch {
	case lost:
		return s.untestified(ctx, errEndedEarly)
	case !s.words.testified():
		return s.untestified(ctx, errNoTestimony)
	}
	return Release{Thawed: true, Testified: true}
}

// untestified is the end of a session that proves nothing. Where its stream
// broke the command may not heed that its input has ended, and hold on: what is
// left of it is ended.
func (s *heldSession) untestified(ctx context.Context, why error) Release {
	if never := s.neverRan(ctx); never != nil {
		return Release{Thawed: true, Err: failure("hold", Join(never, s.err), &s.process.stderr)}
	}
	err := Join(why, s.err)
	if s.sawEnd() {
		return Release{Thawed: true, Err: failure("hold", err, &s.process.stderr)}
	}
	_, left := s.process.endBroken(ctx) // one that is yet to begin finds its input ended
	return Release{Thawed: left == nil, Err: failure("hold", Join(err, left), &s.process.stderr)}
}

// neverRan is errNeverRan where it provably did not begin: it froze nothing.
func (s *heldSession) neverRan(ctx context.Context) error {
	if closed(s.words.held) {
		return nil
	}
	return s.process.neverRan(ctx, s.command, s.err, &s.words.all)
}

func (s *heldSession) ended() bool { return closed(s.done) }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// sawEnd is true where the end of the stream was the end of the command: it
// had an exit code. A stream that broke ended the command's input, no more.
func (s *heldSession) sawEnd() bool {
	return s.err == nil || isExit(s.err)
}

// words reads a session's output line by line and remembers the two words.
type words struct {
	mu       sync.Mutex
	line     strings.Builder
	all      tail
	uses     []string
	held     chan struct{}
	still    chan struct{} // closed by the first STILL_HELD after the release
	isHeld   bool
	released bool
	stayed   bool
	early    bool
}

func (w *words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range b {
		if c == '\n' {
			w.endLine()
		} else if w.line.Len() < messageCap {
			w.line.WriteByte(c)
		}
	}
	return w.all.Write(b)
}

// endLine takes what has come since the last line as a line.
func (w *words) endLine() {
	w.read(strings.TrimSpace(w.line.String()))
	w.line.Reset()
}

// end is the end of the command: what it said last may lack its newline. What
// came last from a stream that broke may lack more.
func (w *words) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endLine()
}

// rest is what has come since the last line.
func (w *words) rest() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(w.line.String())
}

// read takes one line. STILL_HELD counts only after the release: a word that
// is given before the last cut testifies nothing.
func (w *words) read(line string) {
	switch line {
	case wordHeld:
		if !w.isHeld {
			w.isHeld = true
			close(w.held)
		}
	case wordStillHeld:
		w.early = w.early || !w.released
		if stayed := w.isHeld && w.released; stayed && !w.stayed {
			w.stayed = true
			close(w.still)
		}
	default:
		if folder, is := strings.CutPrefix(line, wordUses); is && !w.isHeld {
			w.use(printable(folder))
		}
	}
}

// use notes a folder. One more than are looked at tells that there are more.
func (w *words) use(folder string) {
	if len(w.uses) == maxUses {
		folder = fmt.Sprintf("it names more than %d folders", maxUses)
	}
	if len(w.uses) <= maxUses && !slices.Contains(w.uses, folder) {
		w.uses = append(w.uses, folder)
	}
}

// folders are those that it has said to use, each once.
func (w *words) folders() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.uses)
}

func (w *words) releasing() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.released = true
}

func (w *words) testified() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stayed && !w.early
}

// saidEarly is true where STILL_HELD came before the release.
func (w *words) saidEarly() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.early
}

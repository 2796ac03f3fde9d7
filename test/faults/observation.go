package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/test/framework"
)

// observation is what the books' pod tells of itself.
type observation struct {
	pod string
	// last record, and when it was written.
	last   int
	lastAt time.Time
	now    time.Time
	pauses []interval
	quiets []interval
	// marks on both volumes: which data this is.
	marks []string
	// processes that aren't the application's own.
	leftovers []string
}

// interval is open at its end where to is zero.
type interval struct{ from, to time.Time }

// observe looks into the books' pod.
func (tb *testbed) observe(ctx context.Context) (*observation, error) {
	all, err := tb.observeAll(ctx, tb.books)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// observeAll looks into all pods of an application, by their names. It is an error
// where there are not as many as there should be.
func (tb *testbed) observeAll(ctx context.Context, a framework.Application) ([]*observation, error) {
	var pods corev1.PodList
	if err := tb.List(ctx, &pods, client.InNamespace(tb.namespace), client.MatchingLabels{"app": a.Name}); err != nil {
		return nil, err
	}
	pods.Items = slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	})
	if len(pods.Items) != int(a.Replicas) {
		return nil, fmt.Errorf("%s has %d pod(s) and should have %d", a.Name, len(pods.Items), a.Replicas)
	}
	var all []*observation
	for i := range pods.Items {
		said, err := tb.Sh(ctx, &pods.Items[i], observeScript)
		if err != nil {
			return nil, err
		}
		seen, err := tb.read(pods.Items[i].Name, said)
		if err != nil {
			return nil, err
		}
		all = append(all, seen)
	}
	slices.SortFunc(all, func(a, b *observation) int { return strings.Compare(a.pod, b.pod) })
	return all, nil
}

// observeScript tells all that is to be known of a pod of the books. An argument
// that has the word leftover in it is the script's own.
const observeScript = clockScript + `now; echo "now $now"
echo "last $(cat /tmp/last)"
echo "marks $(cat /first/mark 2>/dev/null || echo none) $(cat /second/mark 2>/dev/null || echo none)"
sed 's/^/pause /' /first/pauses 2>/dev/null
cat /first/journal 2>/dev/null
grep -zshE 'STILL_HELD|^timeout$| mark |leftover' /proc/[0-9]*/cmdline | grep -zv leftover | tr '\n\0' ' \n' | sed 's/^/leftover /'`

func (tb *testbed) read(pod, said string) (*observation, error) {
	s := &observation{pod: pod}
	open := map[string]time.Time{}
	// A restored journal may end in zeros: its length was on the disk before what
	// was appended without a sync. The next line stands after them.
	for line := range strings.FieldsFuncSeq(said, func(c rune) bool { return c == '\n' || c == 0 }) {
		word, rest, _ := strings.Cut(line, " ")
		fields := strings.Fields(rest)
		switch {
		case word == "leftover":
			s.leftovers = append(s.leftovers, rest)
		case word == "now" && len(fields) == 1:
			s.now = tb.at(fields[0])
		case word == "last" && len(fields) == 2:
			s.last, _ = strconv.Atoi(fields[0])
			s.lastAt = tb.at(fields[1])
		case word == "marks":
			s.marks = fields
		case word == "pause" && len(fields) == 2:
			s.pauses = append(s.pauses, interval{tb.at(fields[0]), tb.at(fields[1])})
		case word == "quiet" && len(fields) == 2:
			open[fields[0]] = tb.at(fields[1])
		case word == "loud" && len(fields) == 2 && !open[fields[0]].IsZero():
			s.quiets = append(s.quiets, interval{open[fields[0]], tb.at(fields[1])})
			delete(open, fields[0])
		}
	}
	if s.now.IsZero() {
		return nil, fmt.Errorf("the books said %q", said)
	}
	for _, from := range open {
		s.quiets = append(s.quiets, interval{from: from})
	}
	return s, nil
}

// at is the time of an application's clock.
func (tb *testbed) at(hundredths string) time.Time {
	n, _ := strconv.ParseInt(hundredths, 10, 64)
	return tb.boot.Add(time.Duration(n) * 10 * time.Millisecond)
}

// longestPause is the longest time without a record since a moment.
func (s *observation) longestPause(since time.Time) time.Duration {
	longest := s.now.Sub(s.lastAt)
	for _, p := range s.pauses {
		if p.to.After(since) {
			longest = max(longest, p.to.Sub(p.from))
		}
	}
	return longest
}

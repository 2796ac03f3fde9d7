package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
	"github.com/lull-dev/lull/test/fixture"
)

// ground is where rounds are played one after the other: a namespace with
// applications in it, and a manager that looks into it alone.
type ground struct {
	*suite
	namespace string
	// books has two ledgers on two volumes and can be quieted; shelf is the
	// same as a StatefulSet of two, and is there once it is asked for; notes
	// has one volume and nothing to be quieted by.
	books, shelf, notes fixture.Application
	// boot is when the machine was started, as the applications count time.
	boot time.Time

	mu      sync.Mutex
	manager *manager
	past    []*manager      // of this round
	made    []client.Object // for this round: classes
	// unusable says why the next round needs another ground, empty where it
	// doesn't.
	unusable string
}

// The applications' clocks count hundredths of seconds since the machine
// started: a shell can read them without a program.
const clockScript = `now() { read up rest </proc/uptime; now=${up%.*}${up#*.}; }
`

// A mutex of a link to its owner's process, for what takes a moment. That of an
// owner who was killed in it is taken away.
const mutexScript = `lock() {
  until ln -s $$ /tmp/pen 2>/dev/null; do
    owner=$(readlink /tmp/pen) && { kill -0 "$owner" 2>/dev/null || rm -f /tmp/pen; }
    usleep 5000
  done
}
unlock() { rm -f /tmp/pen; }
`

// booksScript writes the same record into two ledgers on two volumes, in turn,
// unless it is quieted: by a session that lives, or by a mark on its volume
// that hooks make and remove. It notes each time of more than half a second in
// which it did not write. It is never ready when it is started with poison on
// its volume.
const booksScript = clockScript + mutexScript + `
quieted() {
  [ -e /first/quiet ] && return 0
  for s in /tmp/held.*; do
    [ -e "$s" ] || continue
    kill -0 "${s#/tmp/held.}" 2>/dev/null && return 0
    rm -f "$s"
  done
  return 1
}
rm -f /first/quiet /tmp/unready
[ ! -e /first/poison ] || touch /tmp/unready
n=$(tail -n 1 /first/ledger 2>/dev/null); n=${n%% *}; n=${n:-0}
m=$(tail -n 1 /second/ledger 2>/dev/null); m=${m%% *}; m=${m:-0}
[ "$m" -ge "$n" ] || echo "$n $(printf %s "$n" | md5sum)" >>/second/ledger
now; last=$now
while :; do
  lock
  if ! quieted; then
    n=$((n+1))
    record="$n $(printf %s $n | md5sum)"
    for ledger in /first/ledger /second/ledger; do
      echo "$record" | dd of=$ledger oflag=append conv=notrunc,fsync 2>/dev/null
    done
    now
    [ $((now-last)) -lt 50 ] || echo "$last $now" >>/first/pauses
    last=$now
    echo "$n $now" >/tmp/last.new; mv /tmp/last.new /tmp/last
  fi
  unlock
  usleep 40000
done`

// holdScript quiets the books until its input ends, or for seconds at most,
// and keeps a journal of when it held.
func holdScript(seconds int) string {
	return clockScript + mutexScript + `
lock; : >/tmp/held.$$; unlock
now; echo "quiet $$ $now" >>/first/journal
echo HELD
if timeout ` + strconv.Itoa(seconds) + ` cat >/dev/null; then now; echo "loud $$ $now" >>/first/journal; echo STILL_HELD; fi
rm -f /tmp/held.$$`
}

// preScript and postScript quiet the books by a mark on its first volume.
const (
	preScript = clockScript + mutexScript + `
lock; echo 1 | dd of=/first/quiet conv=fsync 2>/dev/null; unlock
now; echo "quiet mark $now" >>/first/journal`
	postScript = clockScript + `
[ ! -e /first/quiet ] || { now; echo "loud mark $now" >>/first/journal; }
rm -f /first/quiet`
)

// newGround makes a namespace with running applications.
func (s *suite) newGround(ctx context.Context) (*ground, error) {
	g := &ground{suite: s}
	var err error
	if g.boot, err = bootTime(); err != nil {
		return nil, err
	}
	if g.namespace, err = s.Namespace(ctx, "faults"); err != nil {
		return nil, err
	}
	g.books = fixture.Tools(g.namespace, "books", booksScript, "first", "second")
	g.books.Ready = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/bin/sh", "-c", "[ -e /tmp/last ] && [ ! -e /tmp/unready ]"}}},
		PeriodSeconds: 1, TimeoutSeconds: 5,
	}
	g.shelf = g.books
	g.shelf.Name, g.shelf.Kind, g.shelf.Replicas = "shelf", v1alpha1.KindStatefulSet, 2
	g.notes = fixture.Tools(g.namespace, "notes", "date >/third/note", "third")
	idle := fixture.Claim(g.namespace, "idle")
	idle.Spec.StorageClassName = ptr.To("immediate")
	for _, a := range []fixture.Application{g.books, g.notes} {
		if err := s.Start(ctx, a); err != nil {
			return g, err
		}
	}
	if err := s.Create(ctx, idle); err != nil {
		return g, err
	}
	return g, g.awaitReady(ctx, g.books, g.notes)
}

func (g *ground) awaitReady(ctx context.Context, all ...fixture.Application) error {
	return poll(ctx, endLimit, "the applications run", func(ctx context.Context) (string, error) {
		for _, a := range all {
			if _, err := g.ReadyPods(ctx, a); err != nil {
				return "", err
			}
		}
		return "", nil
	})
}

// withShelf has the shelf there.
func (g *ground) withShelf(ctx context.Context) error {
	if err := g.Start(ctx, g.shelf); client.IgnoreAlreadyExists(err) != nil {
		return err
	}
	return g.awaitReady(ctx, g.shelf)
}

// bootTime is when the kernel began to count.
func bootTime() (time.Time, error) {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return time.Time{}, err
	}
	up, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	return time.Now().Add(-time.Duration(up * float64(time.Second))), err
}

// remove removes the ground with all that is in it, and its manager.
func (g *ground) remove(ctx context.Context) error {
	if m := g.current(); m != nil && !m.dead() {
		m.kill()
	}
	gone := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: g.namespace}}
	return client.IgnoreNotFound(g.Delete(ctx, gone))
}

func (g *ground) current() *manager {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.manager
}

// aManager starts a manager, with a trap or none.
func (g *ground) aManager(set *trap) error {
	m, err := g.startManager(g.namespace, set)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.manager = m
	g.past = append(g.past, m)
	return nil
}

// clear ends a round: what it made beside its story goes.
func (g *ground) clear(ctx context.Context) error {
	g.mu.Lock()
	made := g.made
	g.made, g.past = nil, nil
	if g.manager != nil {
		g.past = []*manager{g.manager}
	}
	g.mu.Unlock()
	for _, class := range made {
		if err := g.Delete(ctx, class); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// spoil says that the next round needs another ground.
func (g *ground) spoil(why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unusable = why
}

func (g *ground) spoilt() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.unusable
}

// sight is what the books' pod tells of itself.
type sight struct {
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
	strangers []string
}

// interval is open at its end where to is zero.
type interval struct{ from, to time.Time }

// look looks into the books' pod.
func (g *ground) look(ctx context.Context) (*sight, error) {
	all, err := g.lookAt(ctx, g.books)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// lookAt looks into all pods of an application, by their names. It is an error
// where there are not as many as there should be.
func (g *ground) lookAt(ctx context.Context, a fixture.Application) ([]*sight, error) {
	var pods corev1.PodList
	if err := g.List(ctx, &pods, client.InNamespace(g.namespace), client.MatchingLabels{"app": a.Name}); err != nil {
		return nil, err
	}
	pods.Items = slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
	})
	if len(pods.Items) != int(a.Replicas) {
		return nil, fmt.Errorf("%s has %d pod(s) and should have %d", a.Name, len(pods.Items), a.Replicas)
	}
	var all []*sight
	for i := range pods.Items {
		said, err := g.Sh(ctx, &pods.Items[i], lookScript)
		if err != nil {
			return nil, err
		}
		seen, err := g.read(pods.Items[i].Name, said)
		if err != nil {
			return nil, err
		}
		all = append(all, seen)
	}
	slices.SortFunc(all, func(a, b *sight) int { return strings.Compare(a.pod, b.pod) })
	return all, nil
}

// lookScript tells all that is to be known of a pod of the books.
const lookScript = clockScript + `now; echo "now $now"
echo "last $(cat /tmp/last)"
echo "marks $(cat /first/mark 2>/dev/null || echo none) $(cat /second/mark 2>/dev/null || echo none)"
sed 's/^/pause /' /first/pauses 2>/dev/null
cat /first/journal 2>/dev/null
for p in /proc/[0-9]*; do
  args=$(tr '\0\n' '  ' <$p/cmdline 2>/dev/null)
  case $args in *stranger*) ;; *STILL_HELD*|timeout*|*' mark '*) echo "stranger $args" ;; esac
done`

func (g *ground) read(pod, said string) (*sight, error) {
	s := &sight{pod: pod}
	open := map[string]time.Time{}
	for _, line := range strings.Split(said, "\n") {
		word, rest, _ := strings.Cut(line, " ")
		fields := strings.Fields(rest)
		switch {
		case word == "stranger":
			s.strangers = append(s.strangers, rest)
		case word == "now" && len(fields) == 1:
			s.now = g.at(fields[0])
		case word == "last" && len(fields) == 2:
			s.last, _ = strconv.Atoi(fields[0])
			s.lastAt = g.at(fields[1])
		case word == "marks":
			s.marks = fields
		case word == "pause" && len(fields) == 2:
			s.pauses = append(s.pauses, interval{g.at(fields[0]), g.at(fields[1])})
		case word == "quiet" && len(fields) == 2:
			open[fields[0]] = g.at(fields[1])
		case word == "loud" && len(fields) == 2 && !open[fields[0]].IsZero():
			s.quiets = append(s.quiets, interval{open[fields[0]], g.at(fields[1])})
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
func (g *ground) at(hundredths string) time.Time {
	n, _ := strconv.ParseInt(hundredths, 10, 64)
	return g.boot.Add(time.Duration(n) * 10 * time.Millisecond)
}

// longestPause is the longest time without a record since a moment.
func (s *sight) longestPause(since time.Time) time.Duration {
	longest := s.now.Sub(s.lastAt)
	for _, p := range s.pauses {
		if p.to.After(since) {
			longest = max(longest, p.to.Sub(p.from))
		}
	}
	return longest
}

// left are the snapshots of the ground, and the contents that belong to it.
func (g *ground) left(ctx context.Context) (snapshots []snapshotv1.VolumeSnapshot, contents []snapshotv1.VolumeSnapshotContent, err error) {
	var inNamespace snapshotv1.VolumeSnapshotList
	if err := g.List(ctx, &inNamespace, client.InNamespace(g.namespace)); err != nil {
		return nil, nil, err
	}
	var all snapshotv1.VolumeSnapshotContentList
	if err := g.List(ctx, &all); err != nil {
		return nil, nil, err
	}
	contents = slices.DeleteFunc(all.Items, func(c snapshotv1.VolumeSnapshotContent) bool {
		return c.Spec.VolumeSnapshotRef.Namespace != g.namespace
	})
	return inNamespace.Items, contents, nil
}

// gone is true for an object that isn't there any more.
func (g *ground) gone(ctx context.Context, obj client.Object) (bool, error) {
	err := g.Get(ctx, client.ObjectKeyFromObject(obj), obj)
	return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
}

package main

import (
	"context"
	"errors"
	"os"
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
	"github.com/lull-dev/lull/test/framework"
)

// testbed is where rounds are run one after the other: a namespace with
// applications in it, and a manager that looks into it alone.
type testbed struct {
	*suite
	namespace string
	// books has two ledgers on two volumes and can be quieted; shelf is the
	// same as a StatefulSet of two, and is there once it is asked for; notes
	// has one volume and nothing to be quieted by.
	books, shelf, notes framework.Application
	// boot is when the machine was started, as the applications count time.
	boot time.Time

	mu      sync.Mutex
	manager *manager
	past    []*manager      // of this round
	made    []client.Object // for this round: classes
	// unusable says why the next round needs another testbed, empty where it
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

// booksScript starts the books, see test/images/tools/books.
const booksScript = "exec /books"

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

// newTestbed makes a namespace with running applications.
func (s *suite) newTestbed(ctx context.Context) (*testbed, error) {
	tb := &testbed{suite: s}
	var err error
	if tb.boot, err = bootTime(); err != nil {
		return nil, err
	}
	if tb.namespace, err = s.Namespace(ctx, "faults"); err != nil {
		return nil, err
	}
	tb.books = framework.Tools(tb.namespace, "books", booksScript, "first", "second")
	tb.books.Started = framework.UntilStarted("/bin/sh", "-c", "[ -e /tmp/last ] && [ ! -e /tmp/unready ]")
	tb.shelf = tb.books
	tb.shelf.Name, tb.shelf.Kind, tb.shelf.Replicas = "shelf", v1alpha1.KindStatefulSet, 2
	tb.notes = framework.Tools(tb.namespace, "notes", "date >/third/note", "third")
	idle := framework.Claim(tb.namespace, "idle")
	idle.Spec.StorageClassName = ptr.To("immediate")
	for _, a := range []framework.Application{tb.books, tb.notes} {
		if err := s.Start(ctx, a); err != nil {
			return tb, err
		}
	}
	if err := s.Create(ctx, idle); err != nil {
		return tb, err
	}
	return tb, tb.awaitReady(ctx, tb.books, tb.notes)
}

func (tb *testbed) awaitReady(ctx context.Context, all ...framework.Application) error {
	return poll(ctx, endLimit, "the applications run", func(ctx context.Context) (string, error) {
		for _, a := range all {
			if _, err := tb.ReadyPods(ctx, a); err != nil {
				return "", err
			}
		}
		return "", nil
	})
}

// withShelf has the shelf there.
func (tb *testbed) withShelf(ctx context.Context) error {
	if err := tb.Start(ctx, tb.shelf); client.IgnoreAlreadyExists(err) != nil {
		return err
	}
	return tb.awaitReady(ctx, tb.shelf)
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

// remove removes the testbed with all that is in it, and its manager.
func (tb *testbed) remove(ctx context.Context) error {
	if m := tb.current(); m != nil && !m.dead() {
		m.kill()
	}
	gone := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: tb.namespace}}
	return client.IgnoreNotFound(tb.Delete(ctx, gone))
}

func (tb *testbed) current() *manager {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return tb.manager
}

// aManager starts a manager, with a trap or none.
func (tb *testbed) aManager(set *trap) error { return tb.aManagerAhead(set, 0) }

// aManagerAhead is one on a machine whose clock is ahead.
func (tb *testbed) aManagerAhead(set *trap, ahead time.Duration) error {
	m, err := tb.startManager(tb.namespace, set, ahead)
	if err != nil {
		return err
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.manager = m
	tb.past = append(tb.past, m)
	return nil
}

// clear ends a round: what it made beside its scenario goes.
func (tb *testbed) clear(ctx context.Context) error {
	tb.mu.Lock()
	made := tb.made
	tb.made, tb.past = nil, nil
	if tb.manager != nil {
		tb.past = []*manager{tb.manager}
	}
	tb.mu.Unlock()
	for _, class := range made {
		if err := tb.Delete(ctx, class); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// retire says that the next round needs another testbed.
func (tb *testbed) retire(why string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.unusable = why
}

func (tb *testbed) retired() string {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return tb.unusable
}

// left are the snapshots of the testbed, and the contents that belong to it.
func (tb *testbed) left(ctx context.Context) (snapshots []snapshotv1.VolumeSnapshot, contents []snapshotv1.VolumeSnapshotContent, err error) {
	snapshots, snapshotsErr := tb.Snapshots(ctx, tb.namespace)
	contents, contentsErr := tb.SnapshotContents(ctx, tb.namespace)
	return snapshots, contents, errors.Join(snapshotsErr, contentsErr)
}

// gone is true for an object that isn't there any more.
func (tb *testbed) gone(ctx context.Context, obj client.Object) (bool, error) {
	err := tb.Get(ctx, client.ObjectKeyFromObject(obj), obj)
	return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	snapshotv1 "github.com/kubernetes-csi/external-snapshotter/client/v6/apis/volumesnapshot/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

const (
	// endLimit is how long something may take to its end, with a fault in it.
	endLimit = 2 * time.Minute
	// goneLimit is how long its deletion may take.
	goneLimit = 90 * time.Second
	// clings is how long the snapshot controller may wait for what is gone
	// before it is taken to do so for ever: far more than any of its retries.
	clings = 30 * time.Second
	// slack is what a loaded machine adds to a time.
	slack = 4 * time.Second
)

// round is one scenario with one fault in it.
type round struct {
	testbed  *testbed
	scenario *scenario
	fault    fault
	at       spot
	nth      int

	run       run
	began     time.Time
	meanwhile sync.WaitGroup
	// strike is held while the fault happens.
	strike sync.RWMutex
	// heal are parts of the cluster that have to be ready again at the end.
	heal []string
	// unstuck is when the snapshot controller was restarted last.
	unstuck time.Time

	mu sync.Mutex
	// tampered: somebody deleted what belongs to the scenario.
	tampered, podGone, namespaceGone bool
	preluded, sprung                 bool
	blind                            time.Duration
	broken, trouble                  []string
	// strikes are when faults befell the managers.
	strikes []time.Time
}

func (r *round) String() string {
	if r.fault.name == none.name {
		return fmt.Sprintf("%s, %s, undisturbed", r.scenario.kind, r.scenario.name)
	}
	return fmt.Sprintf("%s, %s: %s: %s", r.scenario.kind, r.scenario.name, r.fault.name, r.at)
}

// isAlone is true for a round that breaks what others need.
func (r *round) isAlone() bool { return r.fault.alone || r.hasOutage() }

// hasOutage is true for one in which watches end, of everybody.
func (r *round) hasOutage() bool { return r.fault.outage || r.scenario.outage }

// violates notes that something isn't as it was promised.
func (r *round) violates(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = append(r.broken, fmt.Sprintf(format, args...))
}

// broke notes that the suite itself could not do what it wanted.
func (r *round) broke(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = append(r.trouble, fmt.Sprintf(format, args...))
}

// blindFor notes a time in which no manager could work.
func (r *round) blindFor(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blind += d
}

// within is how long something may take that otherwise takes a limit at most.
func (r *round) within(limit time.Duration) time.Duration { return limit + r.fault.lasts }

// note notes what the fault did.
func (r *round) note(what *bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*what = true
}

func (r *round) noted(what *bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return *what
}

// execute takes the round to its end. It returns the moments that the managers
// went through.
func (r *round) execute(ctx context.Context) (passed []moment) {
	ctx, over := context.WithCancel(ctx)
	defer func() {
		r.strike.Lock() // it may have struck at the last moment that there was
		defer r.strike.Unlock()
		over()
		r.meanwhile.Wait()
	}()
	r.began = time.Now()
	r.run = r.scenario.newRun(r)
	if err := r.setUp(ctx); err != nil {
		r.broke("%v", err)
		return nil
	}
	if err := r.run.begin(ctx); err != nil && !r.noted(&r.namespaceGone) {
		r.broke("%v", err)
	}
	if !r.noted(&r.namespaceGone) {
		r.run.end(ctx)
	}
	if r.noted(&r.namespaceGone) {
		r.awaitNamespaceGone(ctx)
	} else {
		r.run.leave(ctx)
	}
	r.testbed.mu.Lock()
	defer r.testbed.mu.Unlock()
	for _, m := range r.testbed.past {
		passed = append(passed, m.moments()...)
	}
	return passed
}

// setUp has a manager at work, with the traps of the round laid.
func (r *round) setUp(ctx context.Context) error {
	m := r.testbed.current()
	if m != nil && !m.dead() && m.started.Before(r.testbed.outage) {
		if err := m.stop(ctx); err != nil {
			return err
		}
	}
	if m == nil || m.dead() {
		if err := r.testbed.aManager(nil); err != nil {
			return err
		}
		m = r.testbed.current()
	}
	if err := r.run.prepare(ctx); err != nil {
		return err
	}
	m.moments()
	own := newTrap(r.at.is, max(1, r.nth), r.inject(ctx))
	if r.fault.inject == nil {
		own = nil
	}
	first := r.scenario.prelude
	if first == nil {
		m.lay(own)
		return nil
	}
	m.lay(newTrap(first.at.is, 1, func(m *manager, _ moment) string {
		r.note(&r.preluded)
		r.struck()
		m.moments() // the round's own fault can't strike at them
		if first.answer != "" {
			m.lay(own)
			return first.answer
		}
		m.kill()
		if err := r.testbed.aManager(own); err != nil {
			r.broke("%v", err)
		}
		return ""
	}))
	return nil
}

// inject lets the fault happen.
func (r *round) inject(ctx context.Context) func(*manager, moment) string {
	return func(m *manager, _ moment) string {
		r.strike.RLock()
		defer r.strike.RUnlock()
		r.note(&r.sprung)
		r.struck()
		var answer string
		var failed error
		err := poll(ctx, endLimit, "the API server is back that the scenario has away", func(context.Context) (string, error) {
			if answer, failed = r.fault.inject(ctx, r, m); utilnet.IsConnectionRefused(failed) {
				return "", failed
			}
			return "", nil
		})
		if err = cmp.Or(err, failed); err != nil {
			r.broke("%v", err)
		}
		return answer
	}
}

// objects are those that the scenario is about: all of their kind on its testbed.
func (r *round) objects(ctx context.Context) (all []client.Object, err error) {
	list := map[string]client.ObjectList{
		ofBackups: &v1alpha1.VolumeBackupList{}, ofRestores: &v1alpha1.VolumeRestoreList{}, ofPolicies: &v1alpha1.SnapshotPolicyList{},
	}[r.scenario.kind]
	if err := r.testbed.List(ctx, list, client.InNamespace(r.testbed.namespace)); err != nil {
		return nil, err
	}
	err = meta.EachListItem(list, func(o runtime.Object) error {
		all = append(all, o.(client.Object))
		return nil
	})
	return all, err
}

// settle ends what goes on since the fault, and has the cluster whole again.
func (r *round) settle(ctx context.Context) {
	r.meanwhile.Wait()
	var errs []error
	for _, name := range r.heal {
		errs = append(errs, r.testbed.control(context.WithoutCancel(ctx), "start", name))
	}
	if err := errors.Join(errs...); err != nil {
		r.broke("%v", err)
	}
}

// unstick restarts the snapshot controller, as docs/troubleshooting.md says,
// where it clings to contents that are gone: after an outage of the API server
// it can miss that they went, and then no snapshot of theirs goes.
func (r *round) unstick(ctx context.Context) error {
	if !r.isAlone() || time.Since(r.unstuck) < time.Minute {
		return nil
	}
	snapshots, contents, err := r.testbed.left(ctx)
	if err != nil {
		return err
	}
	for _, s := range snapshots {
		waits := !s.DeletionTimestamp.IsZero() && time.Since(s.DeletionTimestamp.Time) > clings
		gone := s.Status != nil && s.Status.BoundVolumeSnapshotContentName != nil &&
			!slices.ContainsFunc(contents, func(c snapshotv1.VolumeSnapshotContent) bool {
				return c.Name == *s.Status.BoundVolumeSnapshotContentName
			})
		if waits && gone {
			r.unstuck = time.Now()
			fmt.Printf("          snapshot %s waits for a content that is gone: the snapshot controller is restarted\n", s.Name)
			return r.testbed.control(ctx, "restart", "snapshot-controller")
		}
	}
	return nil
}

// stopOthers ends the managers of the round but the last, and lifts the traps.
func (r *round) stopOthers(ctx context.Context) {
	r.testbed.mu.Lock()
	past := slices.Clone(r.testbed.past)
	r.testbed.mu.Unlock()
	for _, m := range past {
		if m == r.testbed.current() {
			m.lay(nil)
			continue
		}
		if m.dead() {
			continue
		}
		limit, cancel := context.WithTimeout(ctx, time.Minute)
		if err := m.stop(limit); err != nil {
			r.violates("%v", err)
		}
		cancel()
	}
}

func (r *round) awaitNamespaceGone(ctx context.Context) {
	err := poll(ctx, endLimit, "the namespace is gone", func(ctx context.Context) (string, error) {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: r.testbed.namespace}}
		gone, err := r.testbed.gone(ctx, ns)
		var left []string
		for _, c := range ns.Status.Conditions {
			if c.Status == corev1.ConditionTrue {
				left = append(left, c.Message)
			}
		}
		return unless(gone, "%s %s", ns.Status.Phase, strings.Join(left, "; ")), err
	})
	if err != nil {
		r.violates("it doesn't let the namespace go: %v", err)
		return
	}
	r.meanwhile.Wait()
	err = poll(ctx, goneLimit, "nothing is left of it", func(ctx context.Context) (string, error) {
		_, contents, err := r.testbed.left(ctx)
		return unless(len(contents) == 0, "%d contents", len(contents)), errors.Join(err, r.testbed.freeOutliving(ctx))
	})
	if err != nil {
		r.violates("orphans: %v", err)
	}
}

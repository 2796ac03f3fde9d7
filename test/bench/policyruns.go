package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lull-dev/lull/api/v1alpha1"
)

const (
	// jitterWindow is that of the second run with all policies.
	jitterWindow = time.Minute
	// settling is how long one policy that is edited may take until it is at rest.
	settling = 20 * time.Second
	// minutesAtRest is how many times a minute begins while a manager at rest is
	// looked at.
	minutesAtRest = 2
)

// dueRun is a due time of the first policies.
type dueRun struct {
	due     time.Time
	backups []client.ObjectKey
	// before are the writes before it.
	before writes
}

// takeStep measures with that many policies, and leaves a manager and its run.
func (s *scale) takeStep(ctx context.Context, policies int) (step scaleStep, r dueRun, err error) {
	step.policies, step.ended = policies, policies*s.endedEach()
	if step.baseline, err = s.grow(ctx, policies); err != nil {
		return step, r, err
	}
	if r, err = s.schedule(ctx, policies, leadFor(step.baseline), 0, s.startAll); err != nil {
		return step, r, err
	}
	if step.rest, _, err = s.manager.memory(); err != nil {
		return step, r, err
	}
	last, err := s.awaitCreated(ctx, r)
	if err != nil {
		return step, r, err
	}
	step.skew = last.Sub(r.due)
	_, step.peak, err = s.manager.memory()
	say("%d policies: %.1f s, bare objects %.1f s; %.0f MiB at rest, %.0f at most", policies, step.skew.Seconds(), step.baseline.Seconds(), step.rest, step.peak)
	return step, r, err
}

// leadFor is how long policies may be edited until all is at rest: each is written
// by us and by the manager, which takes about as long as bare objects do.
func leadFor(baseline time.Duration) time.Duration { return 2*baseline + 2*settling }

// schedule makes the first policies due at once, after lead at the earliest, and
// waits until the manager has seen that and is at rest. Where none runs, start
// starts one once they are written.
func (s *scale) schedule(ctx context.Context, policies int, lead, jitter time.Duration, start func(context.Context) error) (r dueRun, err error) {
	r.due = time.Now().Add(lead).Truncate(time.Minute).Add(time.Minute)
	say("%d policies are due at %s", policies, r.due.Format(time.TimeOnly))
	watching, stop := context.WithCancel(ctx)
	defer stop()
	seen := &seenPolicies{schedule: scheduleFor(r.due), seen: map[types.UID]bool{}}
	if err := s.follow(watching, &v1alpha1.SnapshotPolicyList{}, seen.note, s.fail); err != nil {
		return r, err
	}
	err = each(ctx, 0, policies, setUpAtOnce, func(ctx context.Context, i int) error { return s.putPolicy(ctx, i, r.due, jitter) })
	if err != nil {
		return r, err
	}
	s.policies = max(s.policies, policies)
	if start != nil {
		if err := start(ctx); err != nil {
			return r, err
		}
	}
	if err := s.await(ctx, "the manager has seen all policies", func() bool { return seen.count() >= policies }); err != nil {
		return r, err
	}
	if err := s.manager.awaitRest(ctx); err != nil {
		return r, err
	}
	if late := time.Since(r.due); late > 0 {
		return r, fmt.Errorf("the manager was at rest only %s after the policies were due: give leadFor more time", late)
	}
	for i := range policies {
		r.backups = append(r.backups, applicationOf(i).backupOf(r.due))
	}
	r.before, err = s.writes(ctx)
	return r, err
}

// seenPolicies are those whose schedule the manager has seen.
type seenPolicies struct {
	schedule string
	mu       sync.Mutex
	seen     map[types.UID]bool
}

func (s *seenPolicies) note(change watch.Event) {
	p, is := change.Object.(*v1alpha1.SnapshotPolicy)
	if is && p.Status.Seen != nil && p.Status.Seen.Schedule == s.schedule {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen[p.UID] = true
	}
}

func (s *seenPolicies) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// awaitCreated waits until all backups of a run are created, and is when the
// last of them was.
func (s *scale) awaitCreated(ctx context.Context, r dueRun) (last time.Time, err error) {
	err = s.await(ctx, "all backups are created", func() (all bool) { last, all = s.witness.allCreated(r.backups); return all })
	return last, err
}

// takeDrain measures how long it takes until all backups of a run have ended,
// and what the policies write for them.
func (s *scale) takeDrain(ctx context.Context, r dueRun, f *scaleFigures) error {
	err := s.await(ctx, "all backups have ended", func() bool {
		last, all := s.witness.allEnded(r.backups)
		f.drain = last.Sub(r.due)
		return all
	})
	if err != nil {
		return err
	}
	say("all backups have ended after %.0f s", f.drain.Seconds())
	if err := s.manager.awaitRest(ctx); err != nil {
		return err
	}
	after, err := s.writes(ctx)
	f.writes = after.since(r.before)
	return err
}

// takeRest looks at a manager that has nothing to do.
func (s *scale) takeRest(ctx context.Context, _ dueRun, f *scaleFigures) error {
	before, err := s.writes(ctx)
	if err != nil {
		return err
	}
	until := time.Now().Truncate(time.Minute).Add(minutesAtRest*time.Minute + restWindow)
	if err := s.await(ctx, "minutes have begun", func() bool { return time.Now().After(until) }); err != nil {
		return err
	}
	after, err := s.writes(ctx)
	f.atRest = after.since(before)
	return err
}

// takeStart has a policy be due while no manager runs, and measures from the
// start of one to its backup.
func (s *scale) takeStart(ctx context.Context, _ dueRun, f *scaleFigures) error {
	r, err := s.schedule(ctx, 1, settling, 0, nil)
	if err != nil {
		return err
	}
	if _, f.peak, err = s.manager.memory(); err != nil {
		return err
	}
	s.manager.kill()
	if err := s.await(ctx, "the policy is due", func() bool { return time.Now().After(r.due) }); err != nil {
		return err
	}
	if s.manager, err = s.startManager(s.options.manager, s.fail); err != nil {
		return err
	}
	created, err := s.awaitCreated(ctx, r)
	f.start = created.Sub(s.manager.started)
	say("a manager that starts makes the first backup after %.1f s", f.start.Seconds())
	return err
}

// takeJitter measures how late each backup is for its own moment.
func (s *scale) takeJitter(ctx context.Context, before dueRun, f *scaleFigures) error {
	r, err := s.schedule(ctx, len(before.backups), leadFor(f.full().baseline), jitterWindow, nil)
	if err != nil {
		return err
	}
	if _, err := s.awaitCreated(ctx, r); err != nil {
		return err
	}
	for i, key := range r.backups {
		moment, err := applicationOf(i).moment(r.due, jitterWindow)
		if err != nil {
			return err
		}
		f.jittered = append(f.jittered, s.witness.createdAt(key).Sub(moment))
	}
	_, peak, err := s.manager.memory()
	f.peak = max(f.peak, peak)
	return err
}

package policy

import (
	"time"

	"github.com/lull-dev/lull/api/v1alpha1"
)

// Run is a backup that is due.
type Run struct {
	Application
	// Due is the moment by the schedule, without the application's part of the
	// jitter.
	Due time.Time
	// Missed is how many due times before it there won't be a run for, and Before
	// the newest of them.
	Missed int
	Before time.Time
}

// Missed is a run that there won't be.
type Missed struct {
	Run
	// Why, for people.
	Why string
}

// History is what is known of an application of a policy.
type History struct {
	Application
	// DealtWith is the newest due time that a backup was made for or that was
	// missed, or the moment since which due times count for it.
	DealtWith time.Time
	// Running is the name of a backup of the policy that goes on, empty for none.
	Running string
}

// Due is what a policy has to do at a moment, and what became of the rest.
type Due struct {
	Runs []Run
	// Missed are the newest runs that there won't be, one an application.
	Missed []Missed
	// Count is how many due times were missed, by the application that missed
	// most.
	Count int
	// DealtWith are the newest due times that are dealt with once the runs are
	// made, by application. One that waits isn't in it.
	DealtWith map[Application]time.Time
	// Waits are the names of the backups that runs wait for, by application.
	Waits map[Application]string
	// Next is when to look again. It may be long after.
	Next time.Time
}

// Since is what is due by now. An application whose last backup goes on waits,
// where the policy forbids two, until that has ended or the run is too late.
func (p *Policy) Since(histories []History, now time.Time) Due {
	d := Due{DealtWith: map[Application]time.Time{}, Waits: map[Application]string{}}
	if len(histories) == 0 {
		d.Next = p.Schedule.Next(now)
	}
	for _, h := range histories {
		offset := p.Offset(h.Application)
		due := p.Schedule.Since(h.DealtWith, now.Add(-offset), p.Deadline())
		d.lookAgain(due.Next.Add(offset))
		switch {
		case due.Newest.IsZero():
		case p.waitsFor(h):
			p.wait(&d, h, now.Add(-offset))
		case due.At.IsZero():
			d.miss(Run{Application: h.Application, Due: due.Newest}, due.Missed, p.whyMissed(h))
		default:
			run := Run{Application: h.Application, Due: due.At, Missed: due.Missed}
			run.Before, _ = p.Schedule.Last(h.DealtWith, due.At.Add(-time.Nanosecond))
			d.Count = max(d.Count, run.Missed)
			d.DealtWith[h.Application] = run.Due
			d.Runs = append(d.Runs, run)
		}
	}
	return d
}

// wait has an application wait for its last backup. Each due time is missed by a
// deadline of its own: where more fall due in the meantime, the newest never is
// too late. now is that of the application, without its part of the jitter.
func (p *Policy) wait(d *Due, h History, now time.Time) {
	from, tooLate := h.DealtWith, now.Add(-p.Deadline()-time.Nanosecond)
	if newest, is := p.Schedule.Last(from, tooLate); is && tooLate.After(from) {
		d.miss(Run{Application: h.Application, Due: newest}, p.Schedule.Count(from, tooLate), p.whyMissed(h))
		from = newest
	}
	if oldest := p.Schedule.Next(from); !oldest.After(now) {
		d.Waits[h.Application] = h.Running
		d.lookAgain(oldest.Add(p.Offset(h.Application) + p.Deadline() + time.Millisecond))
	}
}

// miss has all due times up to that of a run count as missed.
func (d *Due) miss(run Run, count int, why string) {
	d.DealtWith[run.Application] = run.Due
	d.Count = max(d.Count, count)
	d.Missed = append(d.Missed, Missed{Run: run, Why: why})
}

// LateBy is how late a run is. One that had to wait for the last backup isn't late.
func (s *State) LateBy(run Run) time.Duration {
	moment := run.Due.Add(s.Offset(run.Application))
	if r := s.results[run.Application]; r.Ended != nil && !timeOf(r.Ended.Status.CompletionTime).Before(moment.Truncate(time.Second)) {
		return 0
	}
	return s.Now.Sub(moment)
}

func (d *Due) lookAgain(at time.Time) {
	if d.Next.IsZero() || at.Before(d.Next) {
		d.Next = at
	}
}

func (p *Policy) waitsFor(h History) bool {
	return h.Running != "" && p.Spec.Concurrency != v1alpha1.ConcurrencyAllow
}

func (p *Policy) whyMissed(h History) string {
	if p.waitsFor(h) {
		return "backup " + h.Running + " went on for longer than startingDeadline allows, " + p.Deadline().String()
	}
	return "nobody made it within startingDeadline, " + p.Deadline().String()
}

// Refused has a run count as missed: its backup can't be made.
func (d *Due) Refused(run Run, why error) {
	d.miss(run, run.Missed+1, "its backup is refused: "+why.Error())
}

// Postpone has a run wait for the next look. What was missed before it isn't
// counted again then.
func (d *Due) Postpone(run Run) {
	if delete(d.DealtWith, run.Application); run.Missed > 0 {
		d.DealtWith[run.Application] = run.Before
	}
}

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
	// Next is when to look again. It may be long after.
	Next time.Time
}

// Since is what is due by now. An application whose last backup goes on waits,
// where the policy forbids two, until that has ended or the run is too late.
func (p *Policy) Since(histories []History, now time.Time) Due {
	d := Due{DealtWith: map[Application]time.Time{}}
	if len(histories) == 0 {
		d.Next = p.Schedule.Next(now)
	}
	for _, h := range histories {
		offset := p.Offset(h.Application)
		due := p.Schedule.Since(h.DealtWith, now.Add(-offset), p.Deadline())
		d.lookAgain(due.Next.Add(offset))
		if due.Newest.IsZero() {
			continue
		}
		run := Run{Application: h.Application, Due: due.Newest}
		if p.waitsFor(h) && !due.At.IsZero() {
			d.lookAgain(due.At.Add(offset + p.Deadline() + time.Millisecond))
			continue
		}
		d.DealtWith[h.Application] = due.Newest
		d.Count = max(d.Count, due.Missed)
		if !due.At.IsZero() {
			d.Runs = append(d.Runs, run)
			continue
		}
		d.Missed = append(d.Missed, Missed{Run: run, Why: p.whyMissed(h)})
	}
	return d
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
	d.Missed = append(d.Missed, Missed{Run: run, Why: "its backup is refused: " + why.Error()})
	d.Count = max(d.Count, 1)
}

// Postpone has a run wait for the next look.
func (d *Due) Postpone(run Run) { delete(d.DealtWith, run.Application) }

package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lull-dev/lull/test/faults/history"
)

// campaign is what is run: each scenario undisturbed, to see which moments it
// goes through, then a kill at each of those, then random rounds.
type campaign struct {
	*suite
	// stop ends it at once.
	stop    context.CancelCauseFunc
	options options
	random  *rand.Rand
	report  *report

	mu sync.Mutex
	// traces are the moments of each scenario, and how long it took.
	traces map[string]*trace
	// before are the copies that were in the driver before the run.
	before map[string]bool
	// notes tell the judge of the history what befell the rounds.
	notes []history.Note
}

type trace struct {
	scenario *scenario
	spots    []spot
	took     time.Duration
}

// job is a round to be run.
type job struct {
	scenario *scenario
	fault    fault
	at       spot
}

func (c *campaign) long() bool { return c.options.rounds > 0 }

func (c *campaign) execute(ctx context.Context) error {
	c.traces = map[string]*trace{}
	if err := c.countBefore(); err != nil {
		return err
	}
	var undisturbed []job
	all := scenarios()
	for i := range all {
		if st := &all[i]; (c.long() || !st.slow) && matches(st.name, c.options.only) && matches(st.kind, c.options.kind) {
			undisturbed = append(undisturbed, job{scenario: st, fault: none})
		}
	}
	c.runAll(ctx, undisturbed)
	c.cover()
	if c.options.kills {
		c.runAll(ctx, c.kills())
	}
	for _, kind := range kinds {
		c.runAll(ctx, c.randomJobs(kind))
	}
	return context.Cause(ctx)
}

// runAll runs jobs on several testbeds side by side.
func (c *campaign) runAll(ctx context.Context, jobs []job) {
	queue := make(chan job)
	var all sync.WaitGroup
	for range min(c.options.testbeds, len(jobs)) {
		all.Go(func() { c.runSome(ctx, queue) })
	}
	for _, j := range jobs {
		select {
		case queue <- j:
		case <-ctx.Done():
		}
	}
	close(queue)
	all.Wait()
}

// runSome runs jobs on one testbed after the other.
func (c *campaign) runSome(ctx context.Context, queue <-chan job) {
	var tb *testbed
	defer func() {
		if tb != nil {
			c.remove(ctx, tb)
		}
	}()
	for j := range queue {
		if ctx.Err() != nil {
			continue
		}
		if tb != nil && tb.retired() != "" {
			c.remove(ctx, tb)
			tb = nil
		}
		if tb == nil {
			var err error
			if tb, err = c.newTestbed(ctx); err != nil {
				c.report.trouble("a testbed could not be made: %v", err)
				if tb != nil {
					c.remove(ctx, tb)
					tb = nil
				}
				continue
			}
		}
		c.runOne(ctx, tb, j)
	}
}

func (c *campaign) remove(ctx context.Context, tb *testbed) {
	if err := tb.remove(context.WithoutCancel(ctx)); err != nil {
		c.report.trouble("%v", err)
	}
}

func (c *campaign) runOne(ctx context.Context, tb *testbed, j job) {
	r := &round{testbed: tb, scenario: j.scenario, fault: j.fault, at: j.at, nth: 1}
	if r.isAlone() {
		c.alone.Lock()
		defer c.alone.Unlock()
	} else {
		c.alone.RLock()
		defer c.alone.RUnlock()
	}
	passed := r.execute(ctx)
	if err := c.aside(ctx); err != nil {
		c.stop(err)
	}
	if ctx.Err() != nil {
		return
	}
	c.report.add(r, time.Since(r.began))
	c.mu.Lock()
	c.notes = append(c.notes, r.notes()...)
	c.mu.Unlock()
	if r.hasOutage() {
		if err := c.takeUp(ctx); err != nil {
			c.report.trouble("%v", err)
		}
	}
	if len(r.broken)+len(r.trouble) > 0 {
		tb.retire("a round went wrong on it")
	}
	if r.noted(&r.podGone) {
		tb.retire("two pods may have written its ledgers at the same time")
	}
	if j.fault.name == none.name {
		c.mu.Lock()
		c.traces[j.scenario.kind+" "+j.scenario.name] = &trace{scenario: j.scenario, spots: c.spots(passed), took: time.Since(r.began)}
		c.mu.Unlock()
	}
	if err := tb.clear(ctx); err != nil {
		c.report.trouble("%v", err)
	}
}

// spots are the failpoints of the list that moments are at.
func (c *campaign) spots(passed []moment) []spot {
	var found []spot
	for _, m := range passed {
		known := false
		for _, point := range c.all {
			if point.Covers(m.what, m.by) {
				known = true
				found = append(found, spot{Point: point, when: m.when, written: m.written})
			}
		}
		if !known {
			c.report.trouble("a failpoint isn't in the list: %s", m)
		}
	}
	slices.SortFunc(found, func(a, b spot) int { return cmp.Compare(a.String(), b.String()) })
	return slices.CompactFunc(found, func(a, b spot) bool { return a.String() == b.String() })
}

// cover compares the list with what the scenarios went through.
func (c *campaign) cover() {
	reached := map[string]bool{}
	for _, w := range c.traces {
		for _, s := range w.spots {
			reached[s.Point.String()] = true
		}
	}
	for _, point := range c.all {
		name := point.String()
		c.report.points++
		switch {
		case reached[name] && unreached[name] != "":
			c.report.trouble("failpoint %s is reached now, though %s", name, unreached[name])
		case reached[name]:
			c.report.reached++
		case unreached[name] != "":
			c.report.unreachable++
		case c.long() && c.options.only == "" && c.options.kind == "":
			c.report.trouble("no scenario comes to failpoint %s", name)
		}
	}
}

// kills are a kill at every moment, in the scenario that comes to it soonest. The
// short form takes one of the moments of each write or command, whichever fields
// are written.
func (c *campaign) kills() []job {
	soonest := map[string]job{}
	var traces []*trace
	for _, w := range c.traces {
		traces = append(traces, w)
	}
	slices.SortFunc(traces, func(a, b *trace) int {
		return cmp.Or(cmp.Compare(a.took, b.took), cmp.Compare(a.scenario.name, b.scenario.name))
	})
	for _, w := range traces {
		for _, s := range w.spots {
			if _, known := soonest[s.String()]; !known {
				soonest[s.String()] = job{scenario: w.scenario, fault: kill(s), at: s}
			}
		}
	}
	byWhat := map[string][]job{}
	for _, j := range soonest {
		what := j.at.what()
		if !c.long() {
			what, _, _ = strings.Cut(what, ": ")
		}
		byWhat[what] = append(byWhat[what], j)
	}
	var jobs []job
	for _, what := range slices.Sorted(maps.Keys(byWhat)) {
		of := byWhat[what]
		slices.SortFunc(of, func(a, b job) int { return cmp.Compare(a.at.when, b.at.when) })
		if !c.long() {
			of = []job{of[c.random.IntN(len(of))]}
		}
		for _, j := range of {
			if matches(j.fault.name, c.options.fault) && matches(j.at.String(), c.options.at) {
				jobs = append(jobs, j)
			}
		}
	}
	return jobs
}

func kill(s spot) fault {
	switch s.when {
	case "before":
		return killedBefore
	case "after":
		return killedAfter
	}
	return killedAtWord
}

// few are the faults that the short form lets happen besides kills.
var few = []string{
	"manager told to stop", "manager halted past", "two managers", "a write is answered 409", "a write is done and its answer lost",
	"the object is deleted", "the application's pod is deleted", "API server killed",
}

// fewOfPolicies are those of policies. The API server is away in a scenario.
var fewOfPolicies = []string{"two managers", "manager killed, and the next one too", "the namespace is deleted"}

// randomJobs are rounds of any scenario of a kind with any fault at any of its
// moments.
func (c *campaign) randomJobs(kind string) []job {
	var traces []*trace
	for _, w := range c.traces {
		if !w.scenario.slow && w.scenario.kind == kind && (c.long() || !w.scenario.outage) {
			traces = append(traces, w)
		}
	}
	slices.SortFunc(traces, func(a, b *trace) int { return cmp.Compare(a.scenario.name, b.scenario.name) })
	if len(traces) == 0 {
		return nil
	}
	var jobs []job
	if !c.long() {
		names := few
		if kind == ofPolicies {
			names = fewOfPolicies
		}
		for _, name := range names {
			if f, err := faultNamed(name); err != nil {
				c.report.trouble("%v", err)
			} else if matches(f.name, c.options.fault) && len(c.placesOf(traces, f)) > 0 {
				jobs = append(jobs, c.randomJob(traces, f))
			}
		}
		return jobs
	}
	for range c.options.rounds {
		jobs = append(jobs, c.randomJob(traces, c.randomFault(traces, kind)))
	}
	return jobs
}

// randomFault is one of those that can strike in one of the traces, by weight.
func (c *campaign) randomFault(traces []*trace, kind string) fault {
	total := 0
	fits := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool {
		return !matches(f.name, c.options.fault) || f.of != "" && f.of != kind || len(c.placesOf(traces, f)) == 0
	})
	for _, f := range fits {
		total += f.weight
	}
	n := c.random.IntN(max(1, total))
	for _, f := range fits {
		if n -= f.weight; n < 0 {
			return f
		}
	}
	return none
}

// placesOf are the moments at which a fault can strike, by the trace that has
// them. What a scenario has away can't be killed.
func (c *campaign) placesOf(traces []*trace, f fault) map[*trace][]spot {
	places := map[*trace][]spot{}
	for _, w := range traces {
		spots := slices.DeleteFunc(slices.Clone(w.spots), func(s spot) bool { return f.fits != nil && !f.fits(s) || !matches(s.String(), c.options.at) })
		if len(spots) > 0 && (!f.outage || !w.scenario.outage) {
			places[w] = spots
		}
	}
	return places
}

func (c *campaign) randomJob(traces []*trace, f fault) job {
	places := c.placesOf(traces, f)
	traces = slices.DeleteFunc(slices.Clone(traces), func(w *trace) bool { return len(places[w]) == 0 })
	w := traces[c.random.IntN(len(traces))]
	return job{scenario: w.scenario, fault: f, at: places[w][c.random.IntN(len(places[w]))]}
}

func (j job) String() string {
	return fmt.Sprintf("%s, %s: %s: %s", j.scenario.kind, j.scenario.name, j.fault.name, j.at)
}

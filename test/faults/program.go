package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// program is what is played: each story undisturbed, to see which moments it
// goes through, then a kill at each of those, then random rounds.
type program struct {
	*suite
	// stop ends it at once.
	stop    context.CancelCauseFunc
	options options
	random  *rand.Rand
	report  *report

	mu sync.Mutex
	// ways are the moments of each story, and how long it took.
	ways map[string]*way
}

type way struct {
	story *story
	spots []spot
	took  time.Duration
}

// unreached are failpoints that no story comes to, and why that is so.
var unreached = map[string]string{
	"Exec hooks.process.kill<hooks.quietPod.runHook<hooks.quietPod.endSession":           "no recipe with a post-hook",
	"Exec hooks.process.run<hooks.quietPod.runHook<hooks.quietPod.endSession":            "no recipe with a post-hook",
	"Patch VolumeRestore.changeVolume<VolumeRestore.deleteOld":                           "somebody who takes a volume's policy back between two reads",
	"sub.Patch VolumeBackup.save<VolumeBackup.fail<VolumeBackup.awaitTurn":               "a driver that is busy for hours",
	"sub.Patch VolumeRestore.save<VolumeRestore.fail<VolumeRestore.awaitTurn":            "another restore that takes hours",
	"sub.Patch VolumeRestore.save<VolumeRestore.complete<VolumeRestore.bounded":          "an API server that doesn't let a volume be changed for minutes",
	"sub.Patch VolumeRestore.save<VolumeRestore.rolledBack<VolumeRestore.awaitDiscarded": "somebody who holds a deleted claim for minutes",
}

// job is a round to be played.
type job struct {
	story *story
	fault fault
	at    spot
}

func (p *program) long() bool { return p.options.rounds > 0 }

func (p *program) play(ctx context.Context) error {
	p.ways = map[string]*way{}
	var undisturbed []job
	all := stories()
	for i := range all {
		if st := &all[i]; (p.long() || !st.slow) && matches(st.name, p.options.only) && matches(st.kind, p.options.kind) {
			undisturbed = append(undisturbed, job{story: st, fault: none})
		}
	}
	p.playAll(ctx, undisturbed)
	p.cover()
	if p.options.kills {
		p.playAll(ctx, p.kills())
	}
	for _, kind := range []string{ofBackups, ofRestores} {
		p.playAll(ctx, p.randomJobs(kind))
	}
	return context.Cause(ctx)
}

// playAll plays jobs on several grounds side by side.
func (p *program) playAll(ctx context.Context, jobs []job) {
	queue := make(chan job)
	var all sync.WaitGroup
	for range min(p.options.grounds, len(jobs)) {
		all.Go(func() { p.playSome(ctx, queue) })
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

// playSome plays jobs on one ground after the other.
func (p *program) playSome(ctx context.Context, queue <-chan job) {
	var g *ground
	defer func() {
		if g != nil {
			p.remove(ctx, g)
		}
	}()
	for j := range queue {
		if ctx.Err() != nil {
			continue
		}
		if g != nil && g.spoilt() != "" {
			p.remove(ctx, g)
			g = nil
		}
		if g == nil {
			var err error
			if g, err = p.newGround(ctx); err != nil {
				p.report.trouble("a ground could not be made: %v", err)
				if g != nil {
					p.remove(ctx, g)
					g = nil
				}
				continue
			}
		}
		p.playOne(ctx, g, j)
	}
}

func (p *program) remove(ctx context.Context, g *ground) {
	if err := g.remove(context.WithoutCancel(ctx)); err != nil {
		p.report.trouble("%v", err)
	}
}

func (p *program) playOne(ctx context.Context, g *ground, j job) {
	if j.fault.alone {
		p.alone.Lock()
		defer p.alone.Unlock()
	} else {
		p.alone.RLock()
		defer p.alone.RUnlock()
	}
	r := &round{g: g, story: j.story, fault: j.fault, at: j.at, nth: 1}
	passed := r.play(ctx)
	if err := p.aside(ctx); err != nil {
		p.stop(err)
	}
	if ctx.Err() != nil {
		return
	}
	p.report.add(r, time.Since(r.began))
	if j.fault.outage {
		if err := p.takeUp(ctx); err != nil {
			p.report.trouble("%v", err)
		}
	}
	if len(r.broken)+len(r.trouble) > 0 {
		g.spoil("a round went wrong on it")
	}
	if r.noted(&r.podGone) {
		g.spoil("two pods may have written its ledgers at the same time")
	}
	if j.fault.name == none.name {
		p.mu.Lock()
		p.ways[j.story.kind+" "+j.story.name] = &way{story: j.story, spots: p.spots(passed), took: time.Since(r.began)}
		p.mu.Unlock()
	}
	if err := g.clear(ctx); err != nil {
		p.report.trouble("%v", err)
	}
}

// spots are the failpoints of the list that moments are at.
func (p *program) spots(passed []moment) []spot {
	var found []spot
	for _, m := range passed {
		known := false
		for _, point := range p.all {
			if point.Covers(m.what, m.by) {
				known = true
				found = append(found, spot{Point: point, when: m.when})
			}
		}
		if !known {
			p.report.trouble("a failpoint isn't in the list: %s", m)
		}
	}
	slices.SortFunc(found, func(a, b spot) int { return cmp.Compare(a.String(), b.String()) })
	return slices.CompactFunc(found, func(a, b spot) bool { return a.String() == b.String() })
}

// cover compares the list with what the stories went through.
func (p *program) cover() {
	reached := map[string]bool{}
	for _, w := range p.ways {
		for _, s := range w.spots {
			reached[s.Point.String()] = true
		}
	}
	for _, point := range p.all {
		name := point.String()
		p.report.points++
		switch {
		case reached[name] && unreached[name] != "":
			p.report.trouble("failpoint %s is reached now, though %s", name, unreached[name])
		case reached[name]:
			p.report.reached++
		case unreached[name] != "":
			p.report.unreachable++
		case p.long() && p.options.only == "" && p.options.kind == "":
			p.report.trouble("no story comes to failpoint %s", name)
		}
	}
}

// kills are a kill at every moment, in the story that comes to it soonest. The
// short form takes one of each failpoint's moments.
func (p *program) kills() []job {
	soonest := map[string]job{}
	var ways []*way
	for _, w := range p.ways {
		ways = append(ways, w)
	}
	slices.SortFunc(ways, func(a, b *way) int {
		return cmp.Or(cmp.Compare(a.took, b.took), cmp.Compare(a.story.name, b.story.name))
	})
	for _, w := range ways {
		for _, s := range w.spots {
			if _, known := soonest[s.String()]; !known {
				soonest[s.String()] = job{story: w.story, fault: kill(s), at: s}
			}
		}
	}
	byPoint := map[string][]job{}
	for _, j := range soonest {
		byPoint[j.at.Point.String()] = append(byPoint[j.at.Point.String()], j)
	}
	var jobs []job
	for _, point := range p.all {
		of := byPoint[point.String()]
		slices.SortFunc(of, func(a, b job) int { return cmp.Compare(a.at.when, b.at.when) })
		if !p.long() && len(of) > 0 {
			of = []job{of[p.random.IntN(len(of))]}
		}
		for _, j := range of {
			if matches(j.fault.name, p.options.fault) {
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

// randomJobs are rounds of any story of a kind with any fault at any of its
// moments.
func (p *program) randomJobs(kind string) []job {
	var ways []*way
	for _, w := range p.ways {
		if !w.story.slow && w.story.kind == kind {
			ways = append(ways, w)
		}
	}
	slices.SortFunc(ways, func(a, b *way) int { return cmp.Compare(a.story.name, b.story.name) })
	if len(ways) == 0 {
		return nil
	}
	var jobs []job
	if !p.long() {
		for _, name := range few {
			if f, err := faultNamed(name); err != nil {
				p.report.trouble("%v", err)
			} else if matches(f.name, p.options.fault) && len(placesOf(ways, f)) > 0 {
				jobs = append(jobs, p.randomJob(ways, f))
			}
		}
		return jobs
	}
	for range p.options.rounds {
		jobs = append(jobs, p.randomJob(ways, p.randomFault(ways, kind)))
	}
	return jobs
}

// randomFault is one of those that can strike in one of the ways, by weight.
func (p *program) randomFault(ways []*way, kind string) fault {
	total := 0
	fits := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool {
		return !matches(f.name, p.options.fault) || f.of != "" && f.of != kind || len(placesOf(ways, f)) == 0
	})
	for _, f := range fits {
		total += f.weight
	}
	n := p.random.IntN(max(1, total))
	for _, f := range fits {
		if n -= f.weight; n < 0 {
			return f
		}
	}
	return none
}

// placesOf are the moments at which a fault can strike, by the way that has
// them.
func placesOf(ways []*way, f fault) map[*way][]spot {
	places := map[*way][]spot{}
	for _, w := range ways {
		spots := slices.DeleteFunc(slices.Clone(w.spots), func(s spot) bool { return f.fits != nil && !f.fits(s) })
		if len(spots) > 0 {
			places[w] = spots
		}
	}
	return places
}

func (p *program) randomJob(ways []*way, f fault) job {
	places := placesOf(ways, f)
	ways = slices.DeleteFunc(slices.Clone(ways), func(w *way) bool { return len(places[w]) == 0 })
	w := ways[p.random.IntN(len(ways))]
	return job{story: w.story, fault: f, at: places[w][p.random.IntN(len(places[w]))]}
}

func (j job) String() string {
	return fmt.Sprintf("%s, %s: %s: %s", j.story.kind, j.story.name, j.fault.name, j.at)
}

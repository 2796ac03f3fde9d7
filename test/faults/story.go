package main

import (
	"context"
	"slices"

	"github.com/lull-dev/lull/test/faults/points"
)

// story is something that people want of the operator. It is to come to the
// same end wherever the manager is disturbed.
type story struct {
	// kind is what it is about: backup or restore.
	kind, name string
	// prelude happens to the manager before the round's own fault, where the
	// story is about what comes after it.
	prelude *prelude
	// slow stories are for the long form.
	slow bool
	// play is one performance of it.
	play func(*round) act
}

// act is one performance of a story.
type act interface {
	// prepare makes what has to be there before. Nothing befalls the manager.
	prepare(context.Context) error
	// begin tells the manager what is wanted, and does what people do while it
	// is at work.
	begin(context.Context) error
	// whileHalted waits as long as the manager is to be halted.
	whileHalted(context.Context) error
	// end waits for the end and looks at what it came to.
	end(context.Context)
	// leave removes the objects, as their owner does some day, and looks
	// whether anything stays behind.
	leave(context.Context)
}

// The kinds of stories.
const (
	ofBackups  = "backup"
	ofRestores = "restore"
)

// stories are all there are.
func stories() []story {
	var backups, restores []story
	for i := range backupStories {
		s := &backupStories[i]
		backups = append(backups, story{kind: ofBackups, name: s.name, prelude: s.prelude, slow: s.slow,
			play: func(r *round) act { return &backupAct{round: r, story: s} }})
	}
	for i := range restoreStories {
		s := &restoreStories[i]
		restores = append(restores, story{kind: ofRestores, name: s.name, prelude: s.prelude, slow: s.slow,
			play: func(r *round) act { return &restoreAct{round: r, story: s} }})
	}
	return slices.Concat(backups, restores)
}

// prelude is a moment at which the manager is killed, or meets an error.
type prelude struct {
	at     spot
	answer string // empty: it is killed
}

func at(when, what string, by ...string) spot {
	return spot{Point: points.Point{What: what, By: by}, when: when}
}

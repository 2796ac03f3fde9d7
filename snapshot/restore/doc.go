// Package restore holds the decisions of a restore: what it does, whether it
// can, what comes next, and which changes that takes. They are plain functions
// over plain data, without a client or a clock of their own.
//
//	Input ──> Resolve, unless a check objects ──> Resolution
//
//	State ──> Plan ──> Next, unless a check objects ──> Step.Need
//	  ^                                                   │
//	  └── observed anew <── Changes, a Wait, a Problem <──┘   (controllers/restore)
//
// A step is done where it needs nothing. What it needs is worked out in one
// function, by which it is also seen whether it is done: prepare, volumes,
// scale, swap and finish hold those of the steps in order. way says to which end
// of a restore they lead, forward or back, and strategy by which means.
//
// How changes are made doesn't belong here, nor what becomes of the status
// (controllers/restore), nor how snapshots are cut (snapshot/cut).
package restore

// Package repository reconciles ResticRepositories: it opens each now and then,
// makes it where there is none, and tells whether it can be worked in. What that
// means decides restic-export; here movers are sent and what they say is told.
//
//	controller.go   the kind, its steps and what wakes it
//	look.go         opening it, and making it once
//	maintain.go     retention, checks and pruning, one after another
//	due.go          which of them is due, and what it came to
//	failures.go     those that failed, each with its next try
//	retain.go       retention in several tasks, and how far it is
//	copy.go         copying what was exported into other repositories
//	status.go       what is told
//
// Exports and restores, which work in it, are their kinds' own.
package repository

package main

import "github.com/lull-dev/lull/test/faults/points"

// What the suite says of single failpoints stands here: they are named by the
// functions of the operator (failpoints.txt), and change with them.

// The moments at which scenarios have something happen to the manager first.
var (
	whileFrozen             = at("after", "Create", "backup.run.make", "backup.singleCutter.create")
	beforeFirstBackupWrite  = at("before", "Patch", "reconcile.Scope.patch", "reconcile.Scope.Begin", "backup.run.begin")
	beforeFirstRestoreWrite = at("before", "Patch", "reconcile.Scope.patch", "reconcile.Scope.Begin", "restore.run.begin")
	afterSession            = at("after", "Exec", "hooks.process.run", "hooks.open")
	afterPreHook            = at("after", "Exec", "hooks.process.run", "hooks.podSession.runHook", "hooks.podSession.begin")
)

func at(when, what string, by ...string) spot {
	return spot{Point: points.Point{What: what, By: by}, when: when}
}

// noPolicy: a policy's writes are tried in its own tests, where a manager dies at
// each of them.
const noPolicy = "no scenario has a policy; see TestAPolicysManagerMayDieAnywhere"

// noOrphan: a patch that is made again as it was.
const noOrphan = "no scenario has copies outlive their namespace; see TestOrphanedCopiesOutliveTheirNamespace"

// unreached are failpoints that no scenario comes to, and why that is so.
var unreached = map[string]string{
	"Exec hooks.process.run<hooks.podSession.runHook<hooks.podSession.endSession": "no recipe with a post-hook",

	"Create policy.run.make<policy.run.makeDue": noPolicy,
	"Create policy.run.make<policy.run.runNow":  noPolicy,
	"Patch backup.run.outlive":                  noOrphan,
	"Patch backup.run.outliveGroup":             noOrphan,

	"Delete policy.run.discard": noPolicy,
	"Patch policy.run.discard":  noPolicy,
	"sub.Patch reconcile.Scope.Save<policy.run.retry<policy.run.makeDue": noPolicy,
	"sub.Patch reconcile.Scope.Save<policy.run.retry<policy.run.remove":  noPolicy,
	"sub.Patch reconcile.Scope.Save<policy.run.runNow":                   noPolicy,
}

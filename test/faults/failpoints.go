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
	beforeDueBackup         = at("before", "Create", "policy.run.makeDue")
	beforeRemoval           = at("before", "Delete", "policy.run.discard")
)

func at(when, what string, by ...string) spot {
	return spot{Point: points.Point{What: what, By: by}, when: when}
}

// unreached are failpoints that no scenario comes to, and why that is so.
var unreached = map[string]string{
	"Exec hooks.process.run<hooks.podSession.runHook<hooks.podSession.endSession": "no recipe with a post-hook",

	"Create backup.run.makeClone":                                                noExports,
	"Delete backup.run.removeExports<backup.run.delete":                          noExports,
	"Delete backup.run.removeExports<backup.run.export":                          noExports,
	"Delete mover.Movers.Remove<backup.run.exported":                             noExports,
	"Delete mover.Movers.Remove<backup.run.removeExports<backup.run.delete":      noExports,
	"Delete mover.Movers.Remove<backup.run.removeExports<backup.run.export":      noExports,
	"Delete mover.Movers.Remove<repository.run.done<repository.run.init":         noExports,
	"Delete mover.Movers.Remove<repository.run.done<repository.run.look":         noExports,
	"Delete mover.Movers.Remove<repository.run.done<repository.run.maintain":     noExports,
	"Create mover.Movers.begin":                                                  noExports,
	"sub.Patch reconcile.Scope.Save<backup.run.exported":                         noExports,
	"sub.Patch reconcile.Scope.Save<backup.run.keepOnlyExports":                  noExports,
	"sub.Patch reconcile.Scope.Save<repository.run.done<repository.run.init":     noExports,
	"sub.Patch reconcile.Scope.Save<repository.run.done<repository.run.look":     noExports,
	"sub.Patch reconcile.Scope.Save<repository.run.done<repository.run.maintain": noExports,

	"Delete mover.Movers.Remove<restore.run.endMoversOf<restore.run.endMovers":   noExports,
	"Delete mover.Movers.Remove<restore.run.endMoversOf<restore.run.fill":        noExports,
	"Delete mover.Movers.Remove<restore.run.endMoversOf<restore.run.notFoundYet": noExports,
	"Delete mover.Movers.Remove<restore.run.filled":                              noExports,
	"Delete mover.Movers.Remove<restore.run.find":                                noExports,
	"sub.Patch reconcile.Scope.Save<restore.run.filled":                          noExports,
	"sub.Patch reconcile.Scope.Save<restore.run.find":                            noExports,
	"Create restore.run.makeClone":                                               noPaths,
	"Delete restore.run.removeClones":                                            noPaths,
}

const (
	noExports = "no scenario exports"
	noPaths   = "no scenario restores paths"
)

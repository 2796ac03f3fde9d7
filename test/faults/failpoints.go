package main

import "github.com/lull-dev/lull/test/faults/points"

// What the suite says of single failpoints stands here: they are named by the
// functions of the operator (failpoints.txt), and change with them.

// The moments at which scenarios have something happen to the manager first.
var (
	whileFrozen             = at("after", "Create", "backup.run.make", "backup.singleCutter.create")
	beforeFirstBackupWrite  = at("before", "Patch", "reconcile.Scope.patch", "reconcile.Scope.Begin", "backup.run.begin")
	beforeFirstRestoreWrite = at("before", "Patch", "reconcile.Scope.patch", "reconcile.Scope.Begin", "restore.run.begin")
	afterSession            = at("after", "Exec", "hooks.process.run", "hooks.heldSession.live", "hooks.open")
	atWatching              = at("HELD", "Exec", "hooks.process.run", "hooks.heldSession.live", "hooks.podSession.openWatchman")
	afterWatching           = at("after", "Exec", "hooks.process.run", "hooks.heldSession.live", "hooks.podSession.openWatchman")
	afterPreHook            = at("after", "Exec", "hooks.process.run", "hooks.process.runHook", "hooks.podSession.runPre")
	beforeDueBackup         = at("before", "Create", "policy.run.create", "policy.run.makeDue")
	beforeRemoval           = at("before", "Delete", "policy.run.discard")
)

func at(when, what string, by ...string) spot {
	return spot{Point: points.Point{What: what, By: by}, when: when}
}

// unreached are failpoints that no scenario comes to, and why that is so.
var unreached = map[string]string{
	"Exec hooks.holdCheck.look<hooks.holdCheck.awaitEnd": noHoldCheck,
	"Exec hooks.holdCheck.look<hooks.holdCheck.by":       noHoldCheck,
	"Exec hooks.process.kill<hooks.holdCheck.cleanUp":    noHoldCheck,

	"Exec hooks.process.kill<hooks.process.endNow<hooks.podSession.takeOver": "no watchman of a manager that takes over fails to start",

	"Delete mover.Movers.Remove<repository.run.done<repository.run.maintain":     noMaintenance,
	"sub.Patch reconcile.Scope.Save<repository.run.done<repository.run.maintain": noMaintenance,

	"Delete mover.Movers.Remove<repository.run.done<repository.run.rekey":     noRekey,
	"sub.Patch reconcile.Scope.Save<repository.run.done<repository.run.rekey": noRekey,

	"Patch mover.Movers.letVolumeGo<mover.Movers.keepNoCache":                           noClassThatKeeps,
	"Patch mover.Movers.letVolumeGo<mover.Movers.removeClone<mover.Movers.RemoveCaches": noClassThatKeeps,
	"Patch mover.Movers.letVolumeGo<mover.Movers.removeClone<mover.Movers.RemoveClones": noClassThatKeeps,
	"Patch mover.Movers.letVolumeGo<mover.Movers.removeClone<mover.Movers.makeCache":    noClassThatKeeps,

	"Delete mover.Movers.removeClone<mover.Movers.RemoveCaches": noOtherCache,
	"Delete mover.Movers.removeClone<mover.Movers.makeCache":    noOtherCache,

	"Delete mover.Movers.Remove<repository.run.done<repository.run.move":     noCopy,
	"sub.Patch reconcile.Scope.Save<repository.run.done<repository.run.move": noCopy,

	"Delete mover.Movers.Remove<backup.run.exportVolume": "no scenario's mover fails to start",

	"sub.Patch mover.Movers.Doubt<backup.run.exportVolume": noOutage,
	"sub.Patch mover.Movers.Doubt<restore.run.fillClaim":   noOutage,
	"sub.Patch mover.Movers.Doubt<restore.run.find":        noOutage,

	"Delete mover.Movers.RemoveOwn<restore.run.endMoversOf<restore.run.notFoundYet": "no look into a repository lasts so long",

	"sub.Patch reconcile.Scope.Save<reconcile.Scope.LeaveAlone<backup.run.leaveAlone":  noVelero,
	"sub.Patch reconcile.Scope.Save<reconcile.Scope.LeaveAlone<restore.run.leaveAlone": noVelero,
	"Patch reconcile.Scope.patch<reconcile.Scope.Release<reconcile.Scope.LeaveAlone":   noVelero,

	"Patch reconcile.Scope.patch<reconcile.Scope.Begin<backup.run.mark":        noStripping,
	"Patch backup.run.markSnapshot":                                            noStripping,
	"Patch backup.run.retain<backup.run.letSnapshotsGo<backup.run.discardOf":   noStripping,
	"Patch backup.run.retain<backup.run.letGroupsGo<backup.run.discardOf":      noStripping,
	"Delete backup.run.discard<backup.run.letSnapshotsGo<backup.run.discardOf": noStripping,
	"Delete backup.run.discard<backup.run.letGroupsGo<backup.run.discardOf":    noStripping,

	"sub.Patch reconcile.Scope.Save<restore.run.releasePrevious": noRelease,
	"Create restore.write<restore.run.letGo":                     noRelease,
	"Delete restore.write<restore.run.letGo":                     noRelease,
	"Patch restore.write<restore.run.letGo":                      noRelease,
}

const (
	noClassThatKeeps = "no scenario has a class that keeps its volumes"
	noOtherCache     = "no scenario changes what cache it asks for, or waits for a look"
	noHoldCheck      = "a person checks a hold, and no backup does"
	noMaintenance    = "no scenario waits for maintenance"
	noRekey          = "no scenario exchanges a password"
	noCopy           = "no scenario has a second repository"
	noVelero         = "no scenario puts objects back as Velero does"
	noStripping      = "nobody takes the marks off what is ours; the integration tests do, at every phase"
	noRelease        = "no scenario lets go what a restore keeps; a unit test has the manager die there"
	noOutage         = "no scenario's repository fails while a mover is in it"
)

package main

import "github.com/lull-dev/lull/test/faults/points"

// What the suite says of single failpoints stands here: they are named by the
// functions of the operator (failpoints.txt), and change with them.

// The moments at which scenarios have something happen to the manager first.
var (
	whileFrozen             = at("after", "Create", "VolumeBackup.createSnapshot")
	beforeFirstBackupWrite  = at("before", "Patch", "VolumeBackup.begin")
	beforeFirstRestoreWrite = at("before", "Patch", "VolumeRestore.begin")
	afterSession            = at("after", "Exec", "hooks.process.run", "hooks.open")
	afterPreHook            = at("after", "Exec", "hooks.process.run", "hooks.quietPod.runHook", "hooks.quietPod.begin")
)

func at(when, what string, by ...string) spot {
	return spot{Point: points.Point{What: what, By: by}, when: when}
}

// unreached are failpoints that no scenario comes to, and why that is so.
var unreached = map[string]string{
	"Exec hooks.process.run<hooks.quietPod.runHook<hooks.quietPod.endSession":            "no recipe with a post-hook",
	"Patch VolumeRestore.changeVolume<VolumeRestore.deleteOld":                           "somebody who takes a volume's policy back between two reads",
	"sub.Patch VolumeBackup.save<VolumeBackup.fail<VolumeBackup.awaitTurn":               "a driver that is busy for hours",
	"sub.Patch VolumeRestore.save<VolumeRestore.fail<VolumeRestore.awaitTurn":            "another restore that takes hours",
	"sub.Patch VolumeRestore.save<VolumeRestore.complete<VolumeRestore.bounded":          "an API server that doesn't let a volume be changed for minutes",
	"sub.Patch VolumeRestore.save<VolumeRestore.rolledBack<VolumeRestore.awaitDiscarded": "somebody who holds a deleted claim for minutes",
}

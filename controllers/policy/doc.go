// Package policy reconciles SnapshotPolicies and ClusterSnapshotPolicies: it
// makes the backups that are due and removes those that aren't kept. What that
// is decides snapshot/policy; here it is read, made and told.
//
//	controller.go   both kinds, their steps and what wakes them
//	observe.go      what there is of applications, backups and restores
//	make.go         backups that are due, and those that a person asked for
//	remove.go       backups that aren't kept, and the brake
//	deletions.go    what others delete, in memory
//	massdeletion.go where they delete many at once
//	status.go       what is told
//	clockjumps.go   a clock that was put, or a machine that slept, wakes all
//
// How a backup is taken, and how what it has made goes with it, doesn't belong
// here (controllers/backup).
package policy

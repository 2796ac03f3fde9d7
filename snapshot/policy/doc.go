// Package policy decides for scheduled policies: which applications they have,
// for which of these a backup is due, what it is called, and which backups are
// removed. It is pure: now is an argument, and what there is of backups and
// workloads is handed in.
//
//	select.go      who: references, selectors, annotations
//	due.go         when: what is due for each, what was missed, when to look again
//	backup.go      what a backup is called and made of
//	remove.go      what goes, and the brake
//	deleted.go     what others delete, and when that is a mass deletion
//	health.go      what is told of each application
//	rows.go        of which applications, where there are many
//	unwritten.go   runs that no status tells of yet
//	runnow.go      runs that a person asks for
//	clock.go       what was noted while the clock was ahead
//
// When something is due by a clock is in snapshot/schedule, and what rules keep
// of a history in snapshot/retention; neither knows what a policy is.
package policy

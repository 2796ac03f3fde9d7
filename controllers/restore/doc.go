// Package restore reconciles VolumeRestores: it observes, lets snapshot/restore
// decide, makes the changes, and reports.
//
//	controller   the list of steps; what is watched; who may do what
//	resolve      find backup, snapshots and application; fix the set of claims
//	exclusive    one restore of an application at a time
//	proceed      take one step of the plan: check, write the intent, change, wait, mark
//	deadline     give up a step that has failed for too long
//	observe      what is there, read past the cache
//	apply        make changes, or ask for them by a dry run
//	rollback     begin to undo, as asked or by itself, or refuse to
//	status       how a restore ends; phase and message, from the conditions
//
// One step of a restore is read in three files: proceed here, and in
// snapshot/restore plan and the file that holds what the step needs.
//
// What comes next, and which changes that takes, doesn't belong here
// (snapshot/restore), nor how a reconcile goes (controllers/reconcile).
package restore

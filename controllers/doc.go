// Package controllers reconciles the kinds of Lull: it observes, lets the
// packages hooks and snapshot decide, acts, and reports.
//
// A VolumeBackup's way through a reconcile, in the files of that name:
//
//	volumebackup_controller   get, deletion, the next step, the status
//	volumebackup_recover      thaw and discard what an earlier manager began
//	volumebackup_prepare      find the application, its claims and hooks; nothing is frozen yet
//	volumebackup_attempt      intent, freeze, cut, thaw, outcome: one bounded call
//	volumebackup_ready        wait until the snapshots can be restored
//	volumebackup_deletion     let go, or take the snapshots along
//	volumebackup_status       phase and message, from the conditions
//
// A VolumeRestore's way, whose every step is the first of its plan that isn't
// done (snapshot.PlanRestore):
//
//	volumerestore_controller  get, deletion, the next step: written down, then taken
//	volumerestore_resolve     find backup, snapshots, application; choose how; fix the set of claims
//	volumerestore_turn        one restore of an application at a time
//	volumerestore_observe     what is there, read past the cache
//	volumerestore_claims      make the new claims, prove that they mount
//	volumerestore_volumes     retain, reserve and release volumes
//	volumerestore_scale       stop and start the application
//	volumerestore_swap        lead its claims to other volumes
//	volumerestore_rollback    undo all that, by itself or as asked
//	volumerestore_deletion    undo first, then let go
//	volumerestore_status      phase and message, from the conditions
package controllers

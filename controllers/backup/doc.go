// Package backup reconciles VolumeBackups. The way of a backup, each step in the
// file of its name, in the order in which they are asked:
//
//	thaws        wait until what an earlier manager began is thawed and discounted:
//	             a controller of its own does that (recover.go)
//	deletion     let the snapshots go, or take them along
//	orphans      discard what failed attempts have made
//	attempt      one attempt: acquire, plan, intent, freeze, cut, thaw, outcome
//	ready        wait until the snapshots can be restored
//	export       ship them into a repository, where that is asked for
//
// An attempt is read in attempt.go, downwards, and in four files beside it:
// exclusivity.go (whose turn it is), plan.go (all reads, before anything is
// frozen and once it is thawed), cutter.go (how the storage is made to cut, by
// single.go or group.go), evidence.go (what was seen, and the status that follows
// from it).
//
// Whether a pod that the API doesn't show uses the volumes is asked of
// controllers/inuse. Which claims, which class, what is cut and what comes next
// is decided in snapshot/cut; how an application is quieted, in hooks. Nothing of
// restores belongs here: of those it asks snapshot/restore whether one has the
// application stopped.
package backup

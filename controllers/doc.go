// Package controllers sets up the controllers of Lull's kinds, and is all of
// them that cmd sees. Each kind has a package of its own, and no kind imports
// another:
//
//	reconcile   the skeleton of every kind
//	live        reads of the cluster into plain data
//	backup      VolumeBackup
//	restore     VolumeRestore
//	policy      SnapshotPolicy and ClusterSnapshotPolicy
//	mover       Jobs that work in repositories, for the kinds that need one
//	repository  ResticRepository
//
// No kind's decisions or deeds belong here.
package controllers

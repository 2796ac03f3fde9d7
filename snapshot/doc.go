// Package snapshot holds the decisions about snapshots: which claims to cut,
// of which class, under which names, whether a snapshot is cut and whether it
// is ready. They are plain functions over plain data, without a client or a
// clock of their own.
//
// The life of one snapshot, as the objects show it:
//
//	created ── content bound ── CUT ───────────── READY
//	           (not a cut!)     creationTime or   readyToUse,
//	                            snapshotHandle    perhaps much later
//
// An application may go on from the cut: the CSI specification says that
// CreateSnapshot blocks until then
// (https://github.com/container-storage-interface/spec, CreateSnapshot).
package snapshot

// Package cut holds the decisions of a backup: which claims to cut, of which
// class, under which names, whether a snapshot is cut, whether it is ready and
// whether it is the one on record, what a backup needs next, and the verdict on an attempt. They are plain
// functions over plain data, without a client or a clock of their own.
//
// How an application is quieted doesn't belong here (hooks), nor what is done
// with the snapshots later (snapshot/restore).
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
package cut

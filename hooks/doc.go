// Package hooks quiets applications: it finds out by which command, runs it in
// the application's containers, and says what is known of the quiet.
//
// A held session, one command in one session, is the way to prefer:
//
//	open ──> HELD ──> (snapshots are cut) ──> input ends ──> STILL_HELD ──> end
//	           │                                   │
//	           └── end of stream, or its own limit ┴──> thawed without testimony
//
// The testimony is the line STILL_HELD from the session that froze, printed
// after its input ended. The exit code is not: a database client that lost its
// lock can still end with 0 (seen with MariaDB 10.11).
//
// Where a freeze would outlive its session, as that of a file system does, a watchman
// and a post-hook thaw what a hold that was killed has left frozen.
//
// A pair of hooks is the other way: a command before and a command after. The
// command after runs on every way out. Other systems' annotations may ask for
// one of the two alone: it is run, and says nothing of the quiet.
package hooks

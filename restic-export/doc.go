// Package resticexport is what there is to know of restic: where a repository
// is and what opens it, the Job that runs restic in a pod, its command lines, and
// what its JSON and exit codes mean. It is pure: it imports no client, and runs
// nothing. The program mover, which is in the Job's pod, does.
//
// A task that needs no repository has the same Job and the same mover: paths of a
// snapshot in the cluster are copied without restic.
//
// Which volumes are exported, when, and how often it is tried don't belong here.
//
//	controller                          the Job's pod
//	Task ── Job ──────────────────────> mover ── command line ──> restic
//	Result <── termination message ──── mover <── JSON, exit code ───┘
//
// restic itself is a program of others, of one pinned release, that anybody can
// read a repository with (https://restic.readthedocs.io).
package resticexport

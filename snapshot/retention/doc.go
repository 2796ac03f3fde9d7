// Package retention decides which of an application's backups are kept. It is
// pure: now is an argument.
//
// The rules are restic's, so that they mean the same for snapshots in the cluster
// and in a repository (https://restic.readthedocs.io/en/stable/060_forget.html).
// What they leave over is removed, but for what no rule may take: the newest
// complete backup, the newest proven one, and what somebody holds. make test-real
// holds the rules against restic itself.
//
// What is removed, and how many at once, doesn't belong here.
//
//	                        keepLast: 1   keepDaily: 2
//	26 November, 02:00      kept          and kept
//	26 November, 01:00
//	25 November, 02:00                    kept
//	24 November, 02:00
package retention

// Command bench measures how long a backup keeps an application frozen, how long a
// restore keeps it down, how long a freeze is at most where eighty applications are
// backed up at once, how long an export into a repository takes, and how late
// the backups of very many policies are, beside what storage and cluster take for it
// without Lull in the same minutes: a bare snapshot, a bare restart, bare restic,
// bare objects. Of the eighty it is a lone freeze.
//
// What is right or wrong belongs into the other suites: here a time is a figure
// beside another one, and never an error.
package main

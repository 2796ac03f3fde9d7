// Package schedule decides when something is due: which moments an expression
// means in a time zone, which of them were missed, and at which offset in a
// window each of many is due; and by how much a clock was put. It is pure: now is
// an argument.
//
// What is done when something is due doesn't belong here, nor which backups are
// kept (snapshot/retention).
//
// Expressions are read by robfig/cron, as Kubernetes' CronJobs are. What they
// mean is what they mean to Debian's cron, which knows daylight saving
// (https://manpages.debian.org/bookworm/cron/cron.8.en.html, "Debian Specific"):
//
//	                clock put forward                clock put back
//	30 2 * * *      due right after the jump         due the first time
//	*/15 * * * *    follows the clock that people see, with no hole and no double
//
// A schedule follows the clock if its minute or its hour begins with a star; what
// is skipped more than once is due once. A clock that is put ahead by three hours
// or more, as over a date line, or back by more than three, is taken as it is: what
// it skips isn't due, and what it repeats is due again.
//
// make test-real holds that against Debian's cron itself, under a clock that the
// test moves.
package schedule

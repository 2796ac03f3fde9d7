// Package schedule decides when something is due: which moments an expression
// means in a time zone, which of them were missed, and at which offset in a
// window each of many is due. It is pure: now is an argument.
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
// A schedule follows the clock if its minute or its hour begins with a star. A
// clock that is changed by three hours or more, as over a date line, is taken as
// it is: what it skips isn't due.
package schedule

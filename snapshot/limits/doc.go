// Package limits has, in one place, how much of anything a namespace may ask of
// Lull: whoever may write a workload or an object of ours decides how much a
// status and the manager's memory have to hold. Each limit that is exceeded is a
// Problem that says how much there is, how much is the most, and what to do
// instead, before anything is frozen or stopped.
//
// How long something may take doesn't belong here: that is the flags of the
// manager. docs/operating.md has the limits as a table, which a test holds to
// this package.
package limits

// Package reconcile is the skeleton of every kind's controller. A kind brings
// an ordered list of steps, and the Loop does the rest:
//
//	read the object ──> take the first step that isn't skipped ──> save ──> result
//	                      ^                            │
//	                      └──────── Continue ──────────┘
//
// A step says by its Outcome how it goes on. It sets conditions on the Scope;
// the loop writes them, by one patch that fails where somebody has written the
// object since it was read: of two managers only one can go on. An error is
// told on the object once, and the step is tried again with back-off.
//
// What only one kind knows doesn't belong here: no step, no reason of a
// condition but ReasonAPIError, no metric. The package knows nothing of
// backups and restores.
package reconcile

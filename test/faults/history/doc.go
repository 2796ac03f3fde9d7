// Package history judges what the operator did, by the API server's audit log
// alone: what it was asked for, in which order and when.
//
// The checker is a second opinion. It has a small model of its own of attempts,
// sessions, cuts, claims and volumes, and shares no code with the operator, whose
// mistakes it would share too: it imports neither api nor controllers, hooks or
// snapshot. It reads what stands on the wire.
//
// The rules, each in a file of its own:
//
//	retain     no claim of an application is deleted before its volume is Retain
//	intent     each command in a pod follows an intent that names the pod
//	thaw       what was frozen is released by the deadline of its intent, and is
//	           called thawed only then; who ends a watchman takes his duty over, as his heir does
//	late-cut   what a verdict speaks of was cut while its attempt held, and
//	           nothing else is restored or exported
//	exclusive  no pod is in two open attempts
//
// Times are the API server's. A request takes effect between its coming and its
// answer; where two are compared, the doubt is for the operator.
//
// What befell the operator, and how long nobody could act, stands in no audit log:
// whoever runs the faults says so by notes.
package history

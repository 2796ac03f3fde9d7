// Package names makes the names and label values of what is made for a backup
// or a restore. They follow from their arguments alone, so that whoever comes
// back after a crash finds what was made: a name is a lock.
//
// It also cuts lists and texts for people to size.
//
// What the names stand for is the kinds' own: snapshot/cut and snapshot/restore
// say which parts make a name.
package names

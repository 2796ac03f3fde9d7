// Package mover has movers run for the kinds that need one: Jobs that work in a
// repository with restic, or copy from one volume to another, one a task. A Job's name follows from what it is for,
// so that whoever comes after a crash finds it, and a task runs once.
//
//	mover.go    a task's Job: made, looked at, removed
//	places.go   how many work in a repository at once
//	clone.go    the claims that movers read
//	cache.go    the claims that restic's cache is in
//
// What a mover does and how its pod looks decides restic-export. Which task is
// needed is a kind's own.
package mover

// Command list writes the list of failpoints.
//
// What a failpoint is belongs into test/faults/points.
package main

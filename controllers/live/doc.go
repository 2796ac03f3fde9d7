// Package live reads the cluster into plain data that the packages under
// snapshot decide by. Its Reader reads by whichever client.Reader it is given:
// past the cache where something is frozen, deleted or swapped by what is read.
//
// It only reads, and decides nothing.
package live

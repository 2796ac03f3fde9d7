// Package fault makes the driver misbehave on demand, as real storage does.
//
// A fault is a key and a value. It is asked for by the parameters of a
// StorageClass, VolumeSnapshotClass or VolumeGroupSnapshotClass, or, while the
// driver runs, over its control socket; where both name a key, the socket's
// value counts.
package fault

// Package driver is a CSI driver for one node: the identity, controller, group
// controller and node services over the disks of package disk, and the registration with the
// kubelet.
//
// Ids follow from names, so that a call that is made again finds what it made
// before. A call that finds its id busy with another one is answered ABORTED,
// and the caller tries again. Nothing that matters is in memory.
package driver

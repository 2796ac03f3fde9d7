// Command demo shows a backup and a restore on the cluster that KUBECONFIG names: a
// database that is written to all the time is backed up, and what a second
// database finds in the snapshot is compared with what the first had committed.
//
// It ends with an error where any of it isn't so. Its namespace stays, for
// people to look around.
package main

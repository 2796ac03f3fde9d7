// Package disaster loses a whole cluster and has its database come back in another,
// from nothing but a repository that outlives both, its password, and what
// docs/repositories.md says.
//
// In its long form it also puts an etcd back to what it was before: the API forgets what
// has been, and nothing else does.
//
// It wipes the cluster of test/cluster, with all that is in it, and brings it up
// again with the images that it had; so it runs on no other.
package disaster
